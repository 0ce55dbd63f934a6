"""A real socket in the place of systemd's, which hears what the agent reports."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

WATCHDOG_S = 1.2


class Systemd:
    """Hears what is sent to ``NOTIFY_SOCKET``: ``heard``, each with the time at which it was read."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.setblocking(False)
        self.heard: list[tuple[float, str]] = []
        self.environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(round(1e6 * WATCHDOG_S))}

    def lines(self, word: str) -> list[str]:
        """Everything that began so, up to now."""
        while True:
            try:
                self.heard.append((time.monotonic(), self._socket.recv(4096).decode()))
            except BlockingIOError:
                return [line for _, line in self.heard if line.startswith(word)]

    def hears(self, word: str, times: int = 1) -> Callable[[], bool]:
        """Whether it was told this, so often."""
        return lambda: len(self.lines(word)) >= times

    def close(self) -> None:
        self._socket.close()
