"""Faults of a disk for a test, each with its way back: full, without inodes, read-only, refusing, damaged, deleted.

As root a small file system of its own is mounted. An ordinary user cannot mount: there the kernel refuses the agent's
writes by a limit on the size of files, which looks the same to it (``prlimit`` of a running process, and back).
"""

import contextlib
import errno
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_PAGE = 1024
_BLOCK_PAGES = 16


class SmallDisk:
    """A file system of ``size_kib`` at ``path``. ``with SmallDisk(path) as disk`` mounts it, if that can be done."""

    def __init__(self, path: Path, size_kib: int = 4096, inodes: int = 64) -> None:
        self.path = path
        self._options = f"size={size_kib}k,nr_inodes={inodes}"
        self.mounted = False

    def __enter__(self) -> "SmallDisk":
        self.path.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", self._options, "tmpfs", str(self.path)]
        self.mounted = subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0
        return self

    def __exit__(self, *error: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=False)

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def fill(self, pid: int | None = None, leave_bytes: int = 0) -> None:
        """Leave no room on the disk (for this process, where nothing is mounted)."""
        if not self.mounted:
            if pid is not None:
                refuse_writes(pid)
            return
        with self._filler.open("ab", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"x" * 4096)
        if leave_bytes:
            os.truncate(self._filler, max(0, self._filler.stat().st_size - leave_bytes))

    def use_up_inodes(self, pid: int | None = None) -> None:
        """Leave room, but for no new file."""
        if not self.mounted:
            if pid is not None:
                refuse_writes(pid)
            return
        for number in range(100_000):
            try:
                (self.path / f"filler-{number}").touch()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return

    def protect(self, pid: int | None = None) -> None:
        """Let it be read-only. The kernel does not do that under a process that writes: there it refuses its writes."""
        if pid is not None:
            refuse_writes(pid)
        elif self.mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)

    def recover(self, pid: int | None = None) -> None:
        """As if nothing had been."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,rw", str(self.path)], check=True)
            for one in self.path.glob("filler*"):
                one.unlink()
        if pid is not None:
            accept_writes(pid)


class FaultyDisk(SmallDisk):
    """A small file system with a gateway's state that suffers what its fault is called. ``remembered_s``: see
    :meth:`remember`."""

    def __init__(self, path: Path, dice: random.Random) -> None:
        # Room for the store, a copy of it, and what was set aside.
        super().__init__(path, 8192)
        self._dice = dice
        self._kept = path.with_name("snapshot")
        self.remembered_s = 0.0

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.path / "store.db"

    def suffer(self, how: str, pid: int | None) -> None:
        """Break in this way. ``pid``: the agent, where it runs."""
        with contextlib.suppress(OSError, ProcessLookupError):
            if how == "full":
                self.fill(pid)
            elif how == "no inodes":
                self.use_up_inodes(pid)
            elif how == "protected" and pid is not None:
                self.protect(pid)
            elif how == "damaged":
                self._damage()
            elif how == "deleted":
                delete_store(self.store)
            elif how == "folder deleted":
                for one in self.path.iterdir():
                    delete_folder(one) if one.is_dir() else one.unlink()

    def _damage(self) -> None:
        """One page anywhere; or, as cards lose them, a whole block of pages."""
        pages, seed = page_count(self.store), self._dice.randrange(1000)
        kind = self._dice.choice(("zeros", "noise", "bitflip", "half", "copy"))
        if self._dice.random() < 0.5:
            damage_page(self.store, self._dice.randint(1, max(1, pages)), kind, seed)
            return
        first = self._dice.randrange(0, max(1, pages), _BLOCK_PAGES)
        for number in range(first, min(first + _BLOCK_PAGES, pages)):
            damage_page(self.store, number + 1, "zeros" if seed % 2 else "noise", seed)

    def remember(self) -> None:
        """Keep the store as it is on the disk now: what a card that lies about fsync may fall back to."""
        self.remembered_s = time.monotonic()
        shutil.rmtree(self._kept, ignore_errors=True)
        with contextlib.suppress(OSError):
            ignored = shutil.ignore_patterns("filler*", "*.broken*", "lock")
            shutil.copytree(self.path, self._kept, ignore=ignored)

    def rewind(self) -> None:
        """The power was cut, and the card has forgotten what came after :meth:`remember`."""
        with contextlib.suppress(OSError):
            for name in ("store.db", "store.db-wal"):
                (self.path / name).unlink(missing_ok=True)
                if (self._kept / name).exists():
                    shutil.copy(self._kept / name, self.path / name)


def refuse_writes(pid: int) -> None:
    """Let every write to a file fail in a running process."""
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))


def accept_writes(pid: int) -> None:
    """Take that back."""
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def page_count(store: Path) -> int:
    """How many pages a store's file has."""
    return store.stat().st_size // _PAGE


def damage_page(store: Path, number: int, how: str, seed: int = 0) -> None:
    """Damage page ``number`` (from 1): ``zeros``, ``noise``, ``bitflip``, ``half`` (the second half is zeros), or
    ``copy`` (of another page)."""
    dice = random.Random(seed)
    with store.open("r+b") as stream:
        stream.seek((number - 1) * _PAGE)
        page = bytearray(stream.read(_PAGE))
        if how == "zeros":
            page[:] = bytes(len(page))
        elif how == "noise":
            page[:] = dice.randbytes(len(page))
        elif how == "bitflip":
            page[dice.randrange(len(page))] ^= 1 << dice.randrange(8)
        elif how == "half":
            page[len(page) // 2 :] = bytes(len(page) - len(page) // 2)
        elif how == "copy":
            stream.seek(dice.randrange(page_count(store)) * _PAGE)
            page[:] = stream.read(_PAGE)
        else:
            raise ValueError(how)
        stream.seek((number - 1) * _PAGE)
        stream.write(page)


def delete_store(store: Path) -> None:
    """Delete the store's files."""
    for suffix in ("", "-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)


def delete_folder(folder: Path) -> None:
    """Delete a directory with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def refused(pid: int) -> Iterator[None]:
    """Every write of a running process fails inside."""
    refuse_writes(pid)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            accept_writes(pid)
