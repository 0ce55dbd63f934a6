"""What a process did to the files of a directory: recorded by the shim, read back as operations on files.

A recording program runs under the shim (:func:`run`) and uses :class:`Shim`; :func:`read` gives its operations.
"""

import ctypes
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.agent_process import ROOT, agent_environ

_SOURCE = Path(__file__).with_name("shim.c")
_HEAD = struct.Struct("<cIIQQ")
_CREATED, _EMPTIED, _DIRECTORY = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written to a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file was cut or extended to ``size``; ``shrinks``: whether this removed bytes."""

    file: int
    size: int
    shrinks: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """A file's content was synced."""

    file: int


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    """A directory's names were synced."""

    path: str


@dataclass(frozen=True, slots=True)
class Names:
    """Names of a directory changed, all at once: name -> file, or ``None`` where it was removed."""

    directory: str
    changes: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """A directory was created."""

    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of the recording program."""

    value: Any


Operation = Write | Resize | Sync | SyncDirectory | Names | MakeDirectory | Mark


class Shim:
    """The shim inside of the recording process."""

    def __init__(self) -> None:
        self._calls = ctypes.CDLL(os.environ["GARDU_CRASH_SHIM"])

    def begin(self, directory: Path, journal: Path) -> None:
        """Record from now on."""
        assert self._calls.crash_begin(str(directory).encode(), str(journal).encode()) >= 0

    def end(self) -> None:
        """Stop recording."""
        self._calls.crash_end()

    def mark(self, *value: object) -> None:
        """Put a mark between the operations."""
        text = pickle.dumps(value)
        self._calls.crash_mark(text, ctypes.c_size_t(len(text)))

    def refuse(self, error: int) -> None:
        """Let every change fail with this ``errno``; 0: none."""
        self._calls.crash_refuse(error)

    def room(self, size_bytes: int) -> None:
        """Let files grow by this much in all; -1: without limit."""
        self._calls.crash_room(ctypes.c_long(size_bytes))


def build(folder: Path) -> Path:
    """Build the shim."""
    library = folder / "crash_shim.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl", "-pthread"], check=True)
    return library


def run(library: Path, module: str, arguments: Sequence[str], timeout_s: float = 60.0) -> None:
    """Run a recording program to its end."""
    environ = agent_environ(more={"LD_PRELOAD": str(library), "GARDU_CRASH_SHIM": str(library)})
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environ,
        cwd=ROOT,
        timeout=timeout_s,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{module} {arguments}: exit status {done.returncode}\n{done.stderr}")


def read(journal: Path, files: dict[str, int]) -> list[Operation]:
    """Read a journal. ``files``: the files that existed before, by path; later ones get the numbers that follow."""
    return list(_Reader(files).operations(journal.read_bytes()))


class _Reader:
    """Follows which file each name and each descriptor means."""

    def __init__(self, files: dict[str, int]) -> None:
        self._files = dict(files)
        self._sizes: dict[int, int] = {}
        self._next = max(files.values(), default=0) + 1
        self._open: dict[int, int | str] = {}

    def operations(self, journal: bytes) -> Iterator[Operation]:
        at = 0
        while at < len(journal):
            kind, a_size, b_size, x, y = _HEAD.unpack_from(journal, at)
            at += _HEAD.size
            a, b = journal[at : at + a_size], journal[at + a_size : at + a_size + b_size]
            at += a_size + b_size
            yield from self._read(kind, a, b, x, y)

    def _read(self, kind: bytes, a: bytes, b: bytes, x: int, y: int) -> Iterator[Operation]:
        match kind:
            case b"#":
                yield Mark(pickle.loads(a))
            case b"O":
                yield from self._opened(a.decode(), x, y)
            case b"C":
                self._open.pop(x, None)
            case b"W":
                yield Write(self._file(x), y, a)
            case b"T" | b"F":
                yield Resize(self._file(x), y, shrinks=kind == b"T")
            case b"S":
                target = self._open[x]
                yield SyncDirectory(target) if isinstance(target, str) else Sync(target)
            case b"R":
                yield self._renamed(a.decode(), b.decode())
            case b"U":
                directory, name = _split(a.decode())
                del self._files[a.decode()]
                yield Names(directory, ((name, None),))
            case b"M":
                yield MakeDirectory(a.decode())
            case _:
                raise AssertionError(f"the shim does not record {a.decode()}")

    def _opened(self, path: str, descriptor: int, flags: int) -> Iterator[Operation]:
        if flags & _DIRECTORY:
            self._open[descriptor] = path
            return
        if flags & _CREATED:
            self._files[path] = self._next
            self._next += 1
            directory, name = _split(path)
            yield Names(directory, ((name, self._files[path]),))
        self._open[descriptor] = self._files[path]
        if flags & _EMPTIED:
            yield Resize(self._files[path], 0, shrinks=True)

    def _renamed(self, source: str, target: str) -> Operation:
        file = self._files[target] = self._files.pop(source)
        (directory, old), (there, new) = _split(source), _split(target)
        assert directory == there, "moved to another directory"
        return Names(directory, ((old, None), (new, file)))

    def _file(self, descriptor: int) -> int:
        file = self._open[descriptor]
        assert isinstance(file, int)
        return file


def _split(path: str) -> tuple[str, str]:
    directory, _, name = path.rpartition("/")
    return directory, name
