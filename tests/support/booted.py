"""A small Debian, booted by its own systemd (tests/hosts/systemd): a gateway before, with and after Gardu."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.support.agent_process import ROOT, agent_environ

_SCRIPTS = ROOT / "tests/hosts/systemd"
_ROOT_S, _BOOT_S = 900, 90
BROKER = "listener 1883 127.0.0.1\nallow_anonymous true\n"
BOOTS = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a root needs root"),
    pytest.mark.skipif(not Path("/sys/fs/cgroup/memory").is_dir(), reason="needs control groups of version 1"),
]
"""Marks of a test that boots a machine."""
CONFIG = """\
[gateway]
id = "batua-01"
site = "puskesmas-batua"
sector = "health"

[broker]
url = "mqtt://127.0.0.1:1883"

[publish]
max_delay_s = 0.5

[store]
commit_s = 0.2
"""


def root(suite: str, architecture: str = "amd64") -> Path:
    """The folder of a root; made, if it is not there."""
    made = subprocess.run(
        [_SCRIPTS / "root", suite, architecture], check=True, stdout=subprocess.PIPE, text=True, timeout=_ROOT_S
    )
    return Path(made.stdout.strip())


def sensor(name: str, driver: str = "system", more: str = "interval_s = 1") -> str:
    """A sensor's part of the configuration."""
    return f'\n[[sensor]]\nid = "{name}"\ndriver = "{driver}"\n{more}\n'


class Booted:
    """A running machine. Use it with ``with``: it is switched off at the end."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.suite = suite
        self._folder = folder
        self._root = root(suite)

    def __enter__(self) -> "Booted":
        subprocess.run([_SCRIPTS / "boot", "start", self._folder, self._root], check=True, timeout=_BOOT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run([_SCRIPTS / "boot", "stop", self._folder], check=True, timeout=_BOOT_S)

    def ask(self, *words: str, stdin: str = "", timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a command in there, as root."""
        whole = [_SCRIPTS / "boot", "in", self._folder, *words]
        return subprocess.run(whole, input=stdin, capture_output=True, text=True, timeout=timeout_s)

    def run(self, *words: str, stdin: str = "", timeout_s: float = 60.0) -> str:
        """Run a command that works; give its output."""
        done = self.ask(*words, stdin=stdin, timeout_s=timeout_s)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def shell(self, line: str) -> str:
        """Run a line of the shell that works; give its output."""
        return self.run("sh", "-e", "-c", line)

    def write(self, file: str, text: str, mode: str = "644") -> None:
        """Write a file in there, and the folders above it."""
        self.run("sh", "-e", "-c", f"mkdir -p $(dirname {file}); cat >{file}; chmod {mode} {file}", stdin=text)

    def copy(self, file: Path, target: str) -> None:
        """Bring a file of the host there."""
        inside = f"/proc/{self._first()}/root{target}"
        subprocess.run(["cp", str(file), inside], check=True)

    def broker(self) -> None:
        """Start a broker there."""
        self.write("/etc/mosquitto/mosquitto.conf", BROKER)
        self.run("systemctl", "start", "mosquitto")

    def install(self, deb: Path, *more: str) -> str:
        """Install a package; there is no network. Give what apt says."""
        self.copy(deb, f"/srv/{deb.name}")
        return self.run("apt-get", "-q", "install", "--yes", *more, f"/srv/{deb.name}")

    def show(self, unit: str = "gardu") -> Mapping[str, str]:
        """What systemd knows of a unit."""
        lines = self.run("systemctl", "show", unit).splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def journal(self, unit: str = "gardu") -> list[Any]:
        """The entries of a unit's journal, oldest first."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--no-pager", "--output=json", "--unit", unit).splitlines()
        return [json.loads(line) for line in lines]

    def says(self, unit: str = "gardu") -> str:
        """What the processes of a unit, and systemd of it, have written."""
        return "\n".join(str(entry.get("MESSAGE")) for entry in self.journal(unit))

    def until(self, question: Callable[[], object], timeout_s: float = 30.0) -> float:
        """Wait until the answer is true; give the seconds that it took."""
        began_s = time.monotonic()
        while not question():
            assert time.monotonic() - began_s < timeout_s, self.says()
            time.sleep(0.1)
        return time.monotonic() - began_s

    def listen(self, *arguments: str) -> "subprocess.Popen[str]":
        """``gardu listen`` of this checkout, in the machine's network; subscribed once its first line has come."""
        command = ["nsenter", "-t", self._first(), "-n", sys.executable, "-m", "agent", "listen", "mqtt://127.0.0.1"]
        return subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=agent_environ()
        )

    def rows(self, count: int, *arguments: str, timeout_s: float = 60.0) -> Sequence[Mapping[str, Any]]:
        """The next readings and events that come to the broker."""
        with self.listen("--format", "jsonl", "--seconds", str(timeout_s), *arguments) as listening:
            assert listening.stdout is not None
            found = [json.loads(line) for line, _ in zip(listening.stdout, range(count), strict=False)]
            listening.terminate()
        assert len(found) == count, self.says()
        return found

    def _first(self) -> str:
        return (self._folder / "first").read_text().strip()
