"""The store's two databases, the file and the one in memory: which is active, what each has, and what is told of it.

Rows in memory have numbers of an epoch of their own, so that they can be published; nothing that was given there can be
given again.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

from agent.base.io import clock
from agent.base.reading import Row, Stamp
from agent.store.commit import Commit
from agent.store.io.database import FIRST, MEMORY, Database
from agent.store.io.errors import StoreBroken, StoreError
from agent.store.io.files import StoreFiles
from agent.store.io.rescue.remains import Known
from agent.store.limits import StoreLimits
from agent.store.news import News
from agent.store.owed_rows import is_whole
from agent.store.recovery import AsideFile, hold_before, number_beyond, parse_rescues

RESCUE = "rescue"
"""The property that lists the files which wait for the rescue."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """What a store's databases are opened with. ``bid``: the boot id; ``now``: the time of rows."""

    max_bytes: int
    boot_id: str
    now: Callable[[], Stamp]
    limits: StoreLimits = field(default_factory=StoreLimits)
    mono_ms: Callable[[], int] = clock.mono_ms


class Databases:
    """``disk``: the open file, if there is one; ``memory``: where numbers are given while it cannot be written.

    ``floor``: the first number in memory, by stream. ``blind``: whether numbers are given in memory without all
    accounts of the file being known. Blocks, and belongs in the store's thread; what changed is told in ``news``.
    """

    def __init__(self, files: StoreFiles, settings: DatabaseSettings) -> None:
        self.files = files
        self.settings = settings
        self.disk: Database | None = None
        self.memory: Database | None = None
        self.floor: dict[str, int] = {}
        self.blind = False
        self.news: deque[News] = deque()

    @property
    def active(self) -> Database:
        """Where numbers are given now."""
        active = self.memory or self.disk
        assert active is not None
        return active

    @property
    def rescues(self) -> list[AsideFile]:
        """Files that were set aside and not read yet."""
        return parse_rescues(self.active.property(RESCUE))

    def open_disk(self) -> Database:
        """Open the file, which may be another than before, or a new one. Raises :class:`StoreError`."""
        self.close_disk()
        disk = Database(self.files.path, self.settings.max_bytes, self.settings.boot_id, token_hex(4))
        self.files.opened(disk.wal_bytes)
        self.disk = disk
        return disk

    def open_disk_for_reading(self) -> Database:
        """Open the file as it is. Raises :class:`StoreError`."""
        self.close_disk()
        self.disk = Database(self.files.path, self.settings.max_bytes, self.settings.boot_id, "", read_only=True)
        return self.disk

    def close_disk(self) -> None:
        """Let go of the file."""
        if self.disk is not None:
            self.disk.close()
            self.disk = None

    def open_memory(self, epoch: str) -> Database:
        """A new database in memory, which is not active yet."""
        return Database(MEMORY, self.settings.limits.memory_bytes, self.settings.boot_id, epoch)

    def close(self) -> None:
        """Let go of both."""
        for database in (self.memory, self.disk):
            if database is not None:
                database.close()

    def empty_commit(self) -> Commit:
        """A commit without readings: for what has to go."""
        return Commit([], self.settings.now(), "")

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """The rows of ``[start, stop)``, rising, at most ``limit``. Raises :class:`StoreError` where the file cannot be
        read, or lacks a row that is owed."""
        floor = stop if self.memory is None else min(stop, self.floor.get(stream, 0))
        found: list[Row] = []
        if start < floor and self.disk is not None:
            found = self.disk.rows(stream, start, floor, limit)
            self._check_whole(stream, found, start, floor if len(found) < limit else found[-1].seq + 1)
        if self.memory is not None and len(found) < limit and floor < stop:
            found += self.memory.rows(stream, max(start, floor), stop, limit - len(found))
        return found

    def description(self, meta_hash: str) -> bytes:
        """The bytes of a description; empty where it cannot be had."""
        for database in (self.memory, self.disk):
            if database is not None:
                with suppress(StoreError):
                    if found := database.description(meta_hash):
                        return found
        return b""

    def hold_for_rescue(self) -> None:
        """What is owed from before a rescue that has not ended is held, but for rows that are back already."""
        assert self.disk is not None
        for aside in self.rescues:
            hold_before(self.disk.accounts, aside.epoch)

    def disk_unreadable(self) -> None:
        """The file cannot even be read: what it has is held until it can."""
        self.close_disk()
        for name, account in self.active.accounts.items():
            account.hold(self.floor.get(name, 0))
        self.tell("changed")

    def first_number(self, known: Known) -> dict[str, str]:
        """The property by which new streams begin beyond all numbers, where not all accounts are known."""
        if known.whole:
            return {}
        return {FIRST: str(number_beyond(known.accounts, self.settings.now().t, clock.BUILD_MS))}

    def put_back(self) -> None:
        """Put a copy of the open file in its place, to which the path leads no more. Raises :class:`StoreError`."""
        disk = self.disk
        assert disk is not None
        self.files.make_folder()
        copy = self.files.path.with_name(self.files.path.name + ".copy")
        try:
            copy.unlink(missing_ok=True)
            disk.copy_to(copy)
            self.close_disk()  # before the new file is there: closing removes the log by its name
            if self.files.path.exists():
                self.files.set_aside("swapped")
            copy.replace(self.files.path)
        except OSError as error:
            raise StoreError(str(error)) from error
        self.files.leave_note(self.open_disk().property("ep"))

    def tell(self, kind: str, why: str = "", detail: str = "") -> None:
        """Note what happened for whoever works on the store."""
        accounts = {name: account.copy() for name, account in self.active.accounts.items()}
        self.news.append(News(kind, why, detail, self.active.property("ep"), accounts))

    def _check_whole(self, stream: str, found: list[Row], start: int, stop: int) -> None:
        """A row that is owed and not there is damage, too. Raises :class:`StoreBroken`."""
        account = self.active.accounts.get(stream)
        if account is not None and not is_whole(account, found, start, stop):
            raise StoreBroken(f"{self.files.path}: a row of {stream} is missing")


def known_of(database: Database) -> Known:
    """What a database that is open says of itself."""
    descriptions: dict[str, bytes] = {}
    with suppress(StoreError):
        descriptions = database.descriptions()
    return Known(database.accounts, database.properties, descriptions, database.ids, whole=True)
