"""The store's two databases, file and memory: which one is active, what each contains, and reports of changes.

Rows in memory have numbers of their own epoch, so that they can be published; a number assigned there is never assigned
again.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

from agent.base.io import clock
from agent.base.reading import Row, Stamp
from agent.store.commit import Commit
from agent.store.io.database import FIRST_NUMBER_KEY, MEMORY, Database
from agent.store.io.errors import StoreBroken, StoreError
from agent.store.io.files import StoreFiles
from agent.store.io.rescue.salvage import KnownState
from agent.store.limits import StoreLimits
from agent.store.recovery import AsideFile, hold_for_rescue, number_beyond, parse_rescues
from agent.store.store_change import StoreChange
from agent.store.unsettled_rows import is_complete

RESCUE_KEY = "rescue"
"""The property that lists the files waiting for the rescue."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Settings for opening the store's databases. ``now``: the time of rows."""

    max_bytes: int
    boot_id: str
    now: Callable[[], Stamp]
    limits: StoreLimits = field(default_factory=StoreLimits)
    mono_ms: Callable[[], int] = clock.mono_ms


class Databases:
    """``disk``: the open file, if any; ``memory``: assigns numbers while the file cannot be written.

    ``floor``: the first number in memory, by stream. ``blind``: numbers are assigned in memory although some accounts
    of the file are unknown. All methods block and must be called from the store's thread; changes are reported in
    ``changes``.
    """

    def __init__(self, files: StoreFiles, settings: DatabaseSettings) -> None:
        self.files = files
        self.settings = settings
        self.disk: Database | None = None
        self.memory: Database | None = None
        self.floor: dict[str, int] = {}
        self.blind = False
        self.changes: deque[StoreChange] = deque()

    @property
    def active(self) -> Database:
        """The database that assigns numbers now."""
        active = self.memory or self.disk
        assert active is not None
        return active

    @property
    def rescues(self) -> list[AsideFile]:
        """Files that were set aside and not rescued yet."""
        return parse_rescues(self.active.property(RESCUE_KEY))

    def open_disk(self) -> Database:
        """Open the file, which may have been replaced or be new. Raises :class:`StoreError`."""
        self.close_disk()
        disk = Database(self.files.path, self.settings.max_bytes, self.settings.boot_id, token_hex(4))
        self.files.opened(disk.wal_bytes)
        self.disk = disk
        return disk

    def open_disk_for_reading(self) -> Database:
        """Open the file read-only. Raises :class:`StoreError`."""
        self.close_disk()
        self.disk = Database(self.files.path, self.settings.max_bytes, self.settings.boot_id, "", read_only=True)
        return self.disk

    def close_disk(self) -> None:
        """Close the file."""
        if self.disk is not None:
            self.disk.close()
            self.disk = None

    def open_memory(self, epoch: str) -> Database:
        """Return a new database in memory, not active yet."""
        return Database(MEMORY, self.settings.limits.memory_bytes, self.settings.boot_id, epoch)

    def close(self) -> None:
        """Close both."""
        for database in (self.memory, self.disk):
            if database is not None:
                database.close()

    def empty_commit(self) -> Commit:
        """Return a commit without readings, which records evicted rows."""
        return Commit([], self.settings.now(), "")

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """Return the rows of ``[start, stop)``, ascending, at most ``limit``. Raises :class:`StoreError` if the file
        cannot be read or an unsettled row is missing."""
        floor = stop if self.memory is None else min(stop, self.floor.get(stream, 0))
        rows: list[Row] = []
        if start < floor and self.disk is not None:
            rows = self.disk.rows(stream, start, floor, limit)
            self._check_whole(stream, rows, start, floor if len(rows) < limit else rows[-1].seq + 1)
        if self.memory is not None and len(rows) < limit and floor < stop:
            rows += self.memory.rows(stream, max(start, floor), stop, limit - len(rows))
        return rows

    def description(self, meta_hash: str) -> bytes:
        """Return the bytes of a description; empty if unavailable."""
        for database in (self.memory, self.disk):
            if database is not None:
                with suppress(StoreError):
                    if sensors := database.description(meta_hash):
                        return sensors
        return b""

    def hold_for_rescue(self) -> None:
        """Hold unsettled rows from before an unfinished rescue, except those already rescued."""
        assert self.disk is not None
        for aside in self.rescues:
            hold_for_rescue(self.disk.accounts, aside)

    def disk_unreadable(self) -> None:
        """Record that the file cannot even be read: its rows are held until it can."""
        self.close_disk()
        for name, account in self.active.accounts.items():
            account.hold(self.floor.get(name, 0))
        self.report("changed")

    def first_number(self, state: KnownState) -> dict[str, str]:
        """Return the property that starts new streams above all numbers ever assigned, if some accounts are unknown."""
        if state.whole:
            return {}
        return {FIRST_NUMBER_KEY: str(number_beyond(state.accounts, self.settings.now().t, clock.BUILD_MS))}

    def put_back(self) -> None:
        """Put a copy of the open file at its path, which refers to something else by now. Raises
        :class:`StoreError`."""
        disk = self.disk
        assert disk is not None
        self.files.create_directory()
        copy = self.files.path.with_name(self.files.path.name + ".copy")
        try:
            copy.unlink(missing_ok=True)
            disk.copy_to(copy)
            self.close_disk()  # before the new file exists: closing removes the log by its name
            if self.files.path.exists():
                self.files.move_away()
            copy.replace(self.files.path)
        except OSError as error:
            raise StoreError(str(error)) from error
        self.files.write_note(self.open_disk().property("ep"))

    def report(self, kind: str, why: str = "", detail: str = "") -> None:
        """Report a change to the owner of the store."""
        accounts = {name: account.copy() for name, account in self.active.accounts.items()}
        self.changes.append(StoreChange(kind, why, detail, self.active.property("ep"), accounts))

    def _check_whole(self, stream: str, rows: list[Row], start: int, stop: int) -> None:
        """Treat a missing unsettled row as damage. Raises :class:`StoreBroken`."""
        account = self.active.accounts.get(stream)
        if account is not None and not is_complete(account, rows, start, stop):
            raise StoreBroken(f"{self.files.path}: a row of {stream} is missing")


def state_of(database: Database) -> KnownState:
    """Return the state of an open database."""
    descriptions: dict[str, bytes] = {}
    with suppress(StoreError):
        descriptions = database.descriptions()
    return KnownState(database.accounts, database.properties, descriptions, database.ids, whole=True)
