"""Debian's Mosquitto for a test: its own configuration, a free loopback port, no system service."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30.0
"""How long a test waits for what must come: many times as long as it takes, for cores that are busy with others."""


def free_port() -> int:
    """A loopback port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A broker that a test starts, stops and starts again at the same port.

    ``lines``: what its configuration says beside the listener. ``with Mosquitto(folder) as broker`` runs it.
    """

    def __init__(self, folder: Path, lines: str = "allow_anonymous true") -> None:
        # Debian puts it where an ordinary user's PATH may not look.
        self._program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._file = folder / f"mosquitto-{self.port}.conf"
        # Run as root it would give up its rights and could not read the test's certificates.
        self._file.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\n{lines}\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it takes connections."""
        self._process = subprocess.Popen([self._program, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"mosquitto did not start: {self._file.read_text()}")

    def stop(self) -> None:
        """End it, as an operator would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


async def until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Wait until ``condition()`` is true. Raises :class:`TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - most conditions lie in another process
            await asyncio.sleep(0.01)
