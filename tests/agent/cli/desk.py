"""A maintainer's desk: a directory, and commands with what they print."""

from pathlib import Path

import pytest

from agent.cli import main

CONFIG = """
[broker]
url = "mqtts://broker.example:8883"
[[sensor]]
id = "air-1"
driver = "sds011"
port = "/dev/ttyUSB0"
interval_s = 10
"""
LOCAL = '[gateway]\nid = "batua-01"\nsite = "batua"\nsector = "health"\n'


class Desk:
    """A maintainer's desk: a directory, and commands with what they print."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place = place
        self._capsys = capsys

    def __call__(self, *words: str, status: int = 0) -> tuple[str, str]:
        assert main(list(words)) == status
        return tuple(self._capsys.readouterr())  # type: ignore[return-value]

    def fails(self, *words: str) -> str:
        """The one line of a command that cannot do it."""
        out, err = self(*words, status=1)
        assert out == ""
        assert err.count("\n") == 1
        return err.strip()

    def write(self, name: str, text: str) -> str:
        (self.place / name).write_text(text)
        return name

    def read(self, name: str) -> bytes:
        return (self.place / name).read_bytes()


SIGN = ("config", "sign", "batua.toml", "--gateway", "batua-01", "--version", "4", "--key", "ayu", "--yes")
