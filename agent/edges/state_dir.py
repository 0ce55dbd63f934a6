"""The state directory: small files that are whole or absent, whenever the power is cut."""

import fcntl
import os
from pathlib import Path
from typing import IO

PRIVACY_KEY = "privacy.key"
"""The secret with which identifiers are hashed."""


class Held(OSError):
    """Another agent holds this state directory."""


class StateDir:
    """One agent's state directory, made if it is not there and held until :meth:`close`.

    Raises :class:`Held`, or :class:`OSError` where the directory cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] = (path / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise Held(str(path)) from error

    def close(self) -> None:
        """Let another agent have the directory."""
        self._lock.close()

    def read(self, name: str) -> str:
        """The text of a file; empty where there is none."""
        try:
            return (self.path / name).read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Replace a file: after a power cut it holds the old text or the new one, and the new one for sure once
        this has returned."""
        temporary = self.path / f".{name}.new"
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path / name)
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def secret(self, name: str, size_bytes: int) -> bytes:
        """A random secret that is made once and read by this user alone."""
        path = self.path / name
        try:
            return bytes.fromhex(path.read_text().strip())
        except (FileNotFoundError, ValueError):
            secret = os.urandom(size_bytes)
            self.write(name, secret.hex() + "\n", mode=0o600)
            return secret

    def next_generation(self) -> int:
        """Count up the number of sessions, durably, and give the new number."""
        text = self.read("gen").strip()
        generation = (int(text) if text.isdecimal() else 0) + 1
        self.write("gen", f"{generation}\n")
        return generation


def board_serial() -> str:
    """The serial number of the board, or nothing where it has none."""
    try:
        raw = Path("/sys/firmware/devicetree/base/serial-number").read_bytes()
    except OSError:
        return ""
    return raw.rstrip(b"\0\n").decode("ascii", "replace")
