"""Shared parts of the benchmarks: a broker, a configuration, and process figures from the kernel."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType


class Mosquitto:
    """Debian's Mosquitto on a free loopback port, with its configuration in ``folder``."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._file = folder / "mosquitto.conf"
        self._file.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")

    def __enter__(self) -> "Mosquitto":
        self._process = subprocess.Popen(["mosquitto", "-c", str(self._file)], stderr=subprocess.DEVNULL)
        end_s = time.monotonic() + 5
        while time.monotonic() < end_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("mosquitto did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(5)


def configuration(
    port: int, sensors: Iterable[tuple[str, str, str]], publish: str = "", store: str = "", gateway: str = "bench-1"
) -> str:
    """Return a configuration with these sensors (id, driver, serial port) and a broker on this machine."""
    text = (
        f'[gateway]\nid = "{gateway}"\nsite = "bench"\nsector = "mobility"\n'
        f'[broker]\nurl = "mqtt://127.0.0.1:{port}"\n[publish]\n{publish}\n[store]\n{store}\n'
    )
    for name, driver, serial_port in sensors:
        text += f'[[sensor]]\nid = "{name}"\ndriver = "{driver}"\nport = "{serial_port}"\nmax_rows_per_s = 1000000\n'
    return text


def agent_command(file: Path, state: Path) -> tuple[str, ...]:
    """The words that run the agent with this configuration and this folder for its state."""
    return (sys.executable, "-m", "agent", "run", "--config", str(file), "--state", str(state))


def pinned(cores: set[int]) -> Callable[[], None]:
    """For ``preexec_fn``: restrict the process to these cores."""
    return lambda: os.sched_setaffinity(0, cores)


def cpu_seconds(pid: int) -> float:
    """Return the processor time used by a process."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, private and shared, in MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)
