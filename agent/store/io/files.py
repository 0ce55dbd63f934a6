"""The files around the store's own: what was set aside, the reserve for a full disk, and a note of what there was.

None of them matters to the flow: whatever fails here is left undone.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.store.owed_rows import Owed

_KEPT_ASIDE = 3
_NOTED_RANGES = 500


class StoreFiles:
    """``path``: the store's file. ``max_bytes``: the bound of the store, which also bounds what is set aside."""

    def __init__(self, path: Path, max_bytes: int, boot_id: str) -> None:
        self.path = path
        self.wal = path.with_name(path.name + "-wal")
        self._reserve = path.with_name(path.name + ".reserve")
        self._note = path.with_name(path.name + ".note")
        self._max_bytes = max_bytes
        self._bid = boot_id
        self._seen: dict[Path, tuple[int, int]] = {}

    def there(self) -> bool:
        """Whether there is a store's file with something in it."""
        try:
            return self.path.stat().st_size > 0
        except OSError:
            return False

    def make_folder(self) -> None:
        """Make the folder again, if it is not there."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def opened(self, wal_bytes: int) -> None:
        """The file was opened: remember which one it is, and keep room on the disk for hard times."""
        self._seen = {path: found for path in (self.path, self.wal) if (found := _identity(path)) is not None}
        if self.free_bytes() > 8 * wal_bytes:
            _allocate(self.wal, wal_bytes)  # SQLite reads nothing behind its last frame, and begins again in place
            _allocate(self._reserve, wal_bytes)

    def replaced(self) -> bool:
        """Whether the path leads to another file than the one that was opened, or to none."""
        for path, seen in self._seen.items():
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return True
            except OSError:
                return False  # a disk that does not answer tells nothing
            if (found.st_dev, found.st_ino) != seen:
                return True
        return False

    def give_back(self) -> bool:
        """Give the reserve back to the disk; whether there was one."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def free_bytes(self) -> int:
        """How much the disk takes."""
        try:
            found = os.statvfs(self.path.parent)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    def set_aside(self, kind: str = "broken") -> Path:
        """Rename the file and its log; a new one can begin at the path. Raises :class:`OSError`."""
        number, aside = 1, self.path.with_name(f"{self.path.name}.{kind}-{self._bid}")
        while aside.exists() or log_of(aside).exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.{kind}-{self._bid}-{number}")
        with suppress(FileNotFoundError):
            self.wal.replace(log_of(aside))
        self.path.replace(aside)
        self._seen = {}
        return aside

    def prune(self, wanted: set[str]) -> None:
        """Remove the oldest files that were set aside, beyond a number and a size; never the newest, nor ``wanted``."""
        with suppress(OSError):
            beside = [path for path in self.path.parent.iterdir() if path.name.startswith(f"{self.path.name}.broken-")]
            asides = [path for path in beside if not path.name.endswith("-wal")]
            asides.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
            total = 0
            for place, aside in enumerate(asides):
                total += aside.stat().st_size
                if place and (place >= _KEPT_ASIDE or total > self._max_bytes) and aside.name not in wanted:
                    aside.unlink()
                    log_of(aside).unlink(missing_ok=True)

    def note(self) -> dict[str, Any]:
        """What the last run left word of."""
        try:
            found = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def leave_note(self, epoch: str, owed: Owed | None = None, left: Owed | None = None) -> bool:
        """Leave word for the next start: that there is a store, its epoch, what it still owes (known at a good end
        alone), and rows that could not be written. Whether the disk took it."""
        content = {"ep": epoch, "owed": (owed or [])[:_NOTED_RANGES], "left": (left or [])[:_NOTED_RANGES]}
        temporary = self._note.with_name(self._note.name + ".new")
        try:
            with temporary.open("w") as stream:
                json.dump(content, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._note)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return False
        return True


def log_of(path: Path) -> Path:
    """The write-ahead log of a store's file."""
    return path.with_name(path.name + "-wal")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
