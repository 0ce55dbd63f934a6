"""Small files that are whole whenever the power is cut: replaced at once, and where they matter in two copies."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """The files of one directory, by name. All methods raise :class:`OSError`."""

    def read(self, name: str) -> bytes:
        """The content; nothing where there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content, durably once this has returned."""

    def remove(self, name: str) -> None:
        """Remove the file, if it is there."""

    def names(self) -> list[str]:
        """All files."""


class AtomicDirectory:
    """A real directory, for this user alone; made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError):  # a disk that takes nothing is met again at the first write
            self._make()

    def read(self, name: str) -> bytes:
        """The content; nothing where there is no such file, or the card does not give it back."""
        try:
            return (self._path / name).read_bytes()
        except OSError:
            return b""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content: after a power cut it is the old or the new one."""
        self._make()
        temporary = self._path / f"{name}.new"
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path / name)
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def remove(self, name: str) -> None:
        """Remove the file, if it is there."""
        (self._path / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """All files; none where the directory cannot be read."""
        try:
            return os.listdir(self._path)
        except OSError:
            return []

    def _make(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)


class MirroredFile:
    """One value in two checksummed copies."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._copies = (f"{name}.0", f"{name}.1")
        self._numbers = [0, 0]
        self.lost = False
        """Whether both copies are there, and none can be read. (One alone that cannot be is a first write, torn.)"""
        self.absent = False
        """Whether there is no copy at all."""

    def read(self) -> bytes | None:
        """The newest whole copy."""
        newest: bytes | None = None
        for at, name in enumerate(self._copies):
            self._numbers[at], content = unsealed(self._files.read(name))
            if content is not None and self._numbers[at] == max(self._numbers):
                newest = content
        there = set(self._copies) & set(self._files.names())
        self.lost, self.absent = newest is None and len(there) == len(self._copies), not there
        return newest

    def write(self, content: bytes) -> None:
        """Keep a new value; it is durable once the first copy is. Raises :class:`OSError` where it is not."""
        number = max(self._numbers) + 1
        behind = 0 if self._numbers[0] <= self._numbers[1] else 1
        copy = sealed(content, number)
        self._files.write(self._copies[behind], copy)
        self._numbers[behind] = number
        with contextlib.suppress(OSError):  # it stays behind, and is the first one to be written next time
            self._files.write(self._copies[1 - behind], copy)
            self._numbers[1 - behind] = number


def sealed(content: bytes, number: int) -> bytes:
    """The content behind a line with a number and the checksum of both."""
    body = b"%d\n%b" % (number, content)
    return hashlib.sha256(body).hexdigest().encode() + b" " + body


def unsealed(raw: bytes) -> tuple[int, bytes | None]:
    """Number and content, or 0 and ``None`` where they are not whole."""
    checksum, _, body = raw.partition(b" ")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        return 0, None
    number, _, content = body.partition(b"\n")
    return (int(number), content) if number.isdigit() and len(number) < 20 else (0, None)
