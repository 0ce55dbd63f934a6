"""Small files that survive a power cut: replaced atomically, and mirrored where they matter."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """The files of one directory, by name. All methods raise :class:`OSError`."""

    def read(self, name: str) -> bytes:
        """Return the content; empty if the file does not exist."""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content. It is durable when this returns."""

    def remove(self, name: str) -> None:
        """Remove the file if it exists."""

    def names(self) -> list[str]:
        """Return the names of all files."""


class AtomicDirectory:
    """A real directory, accessible to this user only; created if missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError):  # a disk that cannot be written fails again at the first write
            self._create()

    def read(self, name: str) -> bytes:
        """Return the content; empty if the file does not exist or the SD card cannot read it."""
        try:
            return (self._path / name).read_bytes()
        except OSError:
            return b""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content: after a power cut the file has either the old or the new content."""
        self._create()
        temporary = self._path / f"{name}.new"
        temporary.unlink(missing_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path / name)
        sync_directory(self._path)

    def remove(self, name: str) -> None:
        """Remove the file if it exists."""
        (self._path / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all files; none if the directory cannot be read."""
        try:
            return os.listdir(self._path)
        except OSError:
            return []

    def _create(self) -> None:
        make_directory(self._path, 0o700)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises :class:`OSError`."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Create a directory and its parents, if they are missing, durably: a file in it is only as durable as its name.
    Raises :class:`OSError`."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True, mode=mode)
    sync_directory(path.parent)


class MirroredFile:
    """One value in two checksummed copies."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._copies = (f"{name}.0", f"{name}.1")
        self._numbers = [0, 0]
        self.lost = False
        """True if both copies exist and neither is readable. (A single unreadable copy is a first write that was cut
        short.)"""
        self.absent = False
        """True if no copy exists."""

    def read(self) -> bytes | None:
        """Return the newest intact copy."""
        newest: bytes | None = None
        for at, name in enumerate(self._copies):
            self._numbers[at], content = unsealed(self._files.read(name))
            if content is not None and self._numbers[at] == max(self._numbers):
                newest = content
        present = set(self._copies) & set(self._files.names())
        self.lost, self.absent = newest is None and len(present) == len(self._copies), not present
        return newest

    def write(self, content: bytes) -> None:
        """Store a new value; it is durable once the first copy is. Raises :class:`OSError` if it is not."""
        number = max(self._numbers) + 1
        older = 0 if self._numbers[0] <= self._numbers[1] else 1
        copy = sealed(content, number)
        self._files.write(self._copies[older], copy)
        self._numbers[older] = number
        with contextlib.suppress(OSError):  # this copy stays older, so the next write starts with it
            self._files.write(self._copies[1 - older], copy)
            self._numbers[1 - older] = number


def sealed(content: bytes, number: int) -> bytes:
    """Return the content prefixed with a number and the checksum of both."""
    body = b"%d\n%b" % (number, content)
    return hashlib.sha256(body).hexdigest().encode() + b" " + body


def unsealed(raw: bytes) -> tuple[int, bytes | None]:
    """Return the number and the content, or 0 and ``None`` if the checksum does not match."""
    checksum, _, body = raw.partition(b" ")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        return 0, None
    number, _, content = body.partition(b"\n")
    return (int(number), content) if number.isdigit() and len(number) < 20 else (0, None)
