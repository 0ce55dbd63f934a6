"""The files beside the store's own: files set aside, the reserve for a full disk, and a note about the last run.

The store works without any of them: a failure here is ignored.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.base.io.atomic_files import sync_directory
from agent.store.unsettled_rows import RowRanges

_MAX_ASIDE = 3
_NOTED_RANGES = 500


class StoreFiles:
    """``path``: the store's file. ``max_bytes``: the maximum size of the store, and of the files set aside."""

    def __init__(self, path: Path, max_bytes: int, boot_id: str) -> None:
        self.path = path
        self.wal = path.with_name(path.name + "-wal")
        self._reserve = path.with_name(path.name + ".reserve")
        self._note = path.with_name(path.name + ".note")
        self._max_bytes = max_bytes
        self._boot_id = boot_id
        self._seen: dict[Path, tuple[int, int]] = {}
        self._aside = ""
        """The file set aside last, until a store that lists it is on the disk."""

    def exists(self) -> bool:
        """Return whether the store's file exists and is not empty."""
        try:
            return self.path.stat().st_size > 0
        except OSError:
            return False

    def create_directory(self) -> None:
        """Create the directory if it is missing."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def opened(self, wal_bytes: int) -> None:
        """Remember which file was opened, and reserve disk space for emergencies."""
        self._seen = {path: identity for path in (self.path, self.wal) if (identity := _identity(path)) is not None}
        if self.free_bytes() > 8 * wal_bytes:
            _allocate(self.wal, wal_bytes)  # SQLite reads nothing after its last frame, and restarts in place
            _allocate(self._reserve, wal_bytes)

    def replaced(self) -> bool:
        """Return whether the path leads to a different file than the one opened, or to none."""
        for path, seen in self._seen.items():
            try:
                stat = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return True
            except OSError:
                return False  # a disk that does not respond proves nothing
            if (stat.st_dev, stat.st_ino) != seen:
                return True
        return False

    def release_reserve(self) -> bool:
        """Release the reserve; return whether there was one."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def set_aside(self) -> Path:
        """Rename the damaged file and its log, so that a new file can be created at the path. If this or what follows
        is cut short, :meth:`resume_set_aside` continues it. Raises :class:`OSError`."""
        aside = self._free_name("broken")
        self._aside = aside.name
        self._write_note(self.read_note())
        self._rename(aside)
        return aside

    def resume_set_aside(self) -> Path | None:
        """Return the file that an earlier run set aside without creating a store that lists it."""
        name = self.read_note().get("aside")
        aside = self.path.with_name(Path(name).name) if isinstance(name, str) and name else None
        if aside is None or not aside.exists():
            return None
        self._aside = aside.name
        if not self.path.exists() and self.wal.exists() and not wal_path(aside).exists():
            with suppress(OSError):
                self._rename_log(aside)
        return aside

    def aside_listed(self) -> None:
        """Record that a store on the disk lists the file set aside."""
        self._aside = ""

    def move_away(self) -> None:
        """Rename a file that is not this store's. Raises :class:`OSError`."""
        self._rename(self._free_name("swapped"))

    def _free_name(self, kind: str) -> Path:
        number, aside = 1, self.path.with_name(f"{self.path.name}.{kind}-{self._boot_id}")
        while aside.exists() or wal_path(aside).exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.{kind}-{self._boot_id}-{number}")
        return aside

    def _rename(self, aside: Path) -> None:
        # One name after the other: a log that is alone at the path belongs to the file that was renamed last.
        self.path.replace(aside)
        sync_directory(self.path.parent)
        self._rename_log(aside)
        self._seen = {}

    def _rename_log(self, aside: Path) -> None:
        with suppress(FileNotFoundError):
            self.wal.replace(wal_path(aside))
        sync_directory(self.path.parent)

    def prune(self, keep: set[str]) -> None:
        """Remove the oldest files set aside beyond a number and a size; never the newest, nor ``wanted``."""
        with suppress(OSError):
            beside = [path for path in self.path.parent.iterdir() if path.name.startswith(f"{self.path.name}.broken-")]
            asides = [path for path in beside if not path.name.endswith("-wal")]
            asides.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
            total = 0
            for place, aside in enumerate(asides):
                total += aside.stat().st_size
                if place and (place >= _MAX_ASIDE or total > self._max_bytes) and aside.name not in keep:
                    aside.unlink()
                    wal_path(aside).unlink(missing_ok=True)

    def read_note(self) -> dict[str, Any]:
        """Return the note left by the last run."""
        try:
            note = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def write_note(self, epoch: str, unsettled: RowRanges | None = None, unwritten: RowRanges | None = None) -> bool:
        """Write a note for the next start: that a store exists, its epoch, its unsettled rows (known only after a clean
        stop), and rows that could not be written. Return whether it was written."""
        content = {"ep": epoch, "owed": (unsettled or [])[:_NOTED_RANGES], "left": (unwritten or [])[:_NOTED_RANGES]}
        return self._write_note(content)

    def _write_note(self, content: dict[str, Any]) -> bool:
        content = {**content, "aside": self._aside}
        temporary = self._note.with_name(self._note.name + ".new")
        try:
            with temporary.open("w") as stream:
                json.dump(content, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._note)
            sync_directory(self._note.parent)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return False
        return True


def wal_path(path: Path) -> Path:
    """Return the path of a store file's write-ahead log."""
    return path.with_name(path.name + "-wal")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _allocate(path: Path, size_bytes: int) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return
    try:
        if os.fstat(descriptor).st_size < size_bytes:
            os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError:
        pass
    finally:
        os.close(descriptor)
