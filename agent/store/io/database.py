"""The store's file: SQLite, one connection, used from one thread.

Rows are clustered by (stream, number), so any range to send, resend or delete is contiguous. Every change is one
transaction with ``synchronous=FULL``: once :meth:`Database.commit` has returned, its rows survive a power cut. The same
database in memory (:data:`MEMORY`) assigns numbers while the file cannot be written.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agent.base.reading import Context, Reading, Row
from agent.store.commit import Commit, Range
from agent.store.format.row_key import SEQ_MASK, row_check
from agent.store.io.database_schema import MEMORY, FileSize
from agent.store.io.database_tables import Record, Tables
from agent.store.io.errors import StoreBroken, StoreBusy, StoreError, StoreFull, StoreNewer
from agent.store.io.row_eviction import RowEvictor
from agent.store.recovery import rescued_row
from agent.store.stream_account import FIRST_NUMBER, StreamAccount

__all__ = ["MEMORY", "Commit", "Database", "Range", "StoreBroken", "StoreBusy", "StoreError", "StoreFull", "StoreNewer"]

FIRST_NUMBER_KEY = "first"
"""The property with the first number of a new stream."""
_WORTH_SHEDDING_PAGES = 8192
"""A capped file below this size does not shed undelivered rows: memory holds as many."""


class Database:
    """The open file. Every method blocks and must be called from one thread; each raises a subclass of
    :class:`~agent.store.io.errors.StoreError`, and has then changed nothing.

    ``tables``: its tables. ``new_epoch``: the epoch of a new file.
    """

    def __init__(self, path: Path, max_bytes: int, boot_id: str, new_epoch: str, *, read_only: bool = False) -> None:
        self._boot_id = boot_id
        self.read_only = read_only
        self._size = FileSize.within(max_bytes, path)
        self._cap_pages = 0
        self.tables = Tables(path, read_only=read_only)
        self._evictor = RowEvictor(self.tables, "memory" if path == MEMORY else "overflow")
        try:
            with self.tables.translating():
                self.tables.connection.execute(f"PRAGMA wal_autocheckpoint={self._size.wal_pages}")
            if not read_only and not self.property("ep"):
                # Together: an epoch whose boot is unknown would be continued after a power cut.
                with self.tables.transaction():
                    self.set_property("ep", new_epoch)
                    self.set_property("boot", boot_id)
        except StoreError:
            self.close()
            raise

    @property
    def accounts(self) -> Mapping[str, StreamAccount]:
        """The accounts as stored in the file."""
        return self.tables.accounts

    @property
    def ids(self) -> Mapping[str, int]:
        """The streams' ids inside the file."""
        return self.tables.ids

    @property
    def properties(self) -> Mapping[str, str]:
        """All stored properties."""
        return self.tables.properties

    @property
    def wal_bytes(self) -> int:
        """The usual size of the write-ahead log."""
        return self._size.wal_bytes

    @property
    def capped(self) -> bool:
        """True if the file must not grow."""
        return self._cap_pages > 0

    def property(self, name: str) -> str:
        """Return a durable property of the store; empty if it was never set."""
        return self.properties.get(name, "")

    def set_property(self, name: str, value: str) -> None:
        """Set a property, durably."""
        self.tables.set_property(name, value)

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Keep a description for as long as rows need it."""
        self.tables.describe(meta_hash, sensors)

    def description(self, meta_hash: str) -> bytes:
        """Return the bytes of a description; empty if unknown."""
        return self.tables.description(meta_hash)

    def descriptions(self) -> dict[str, bytes]:
        """Return all descriptions."""
        return self.tables.descriptions()

    def newest_ms(self) -> int:
        """Return the newest time measured by a set clock among the last rows of every stream; 0 if there is none."""
        return self.tables.newest_ms()

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """Return the existing rows of ``[start, stop)``, ascending, at most ``limit``."""
        return self.tables.rows(stream, start, stop, limit)

    def begin_epoch(self, epoch: str, since: Mapping[str, int]) -> None:
        """Begin a new epoch, durably. It includes the numbers from ``since`` on (stream -> number; default: the next
        number)."""
        with self.tables.transaction():
            self.set_property("ep", epoch)
            for name in self.accounts:
                account = self.tables.touch(name)
                account.begin_epoch(epoch, since.get(name, account.next))
                self.tables.move_to_epoch(name, account.epochs[-1][0], account.next, epoch)
            self.tables.write_accounts(self.accounts)

    def commit(self, commit: Commit) -> Commit:
        """Make readings durable and assign their numbers, all or none; settle; make room.

        Raises :class:`StoreFull` or another :class:`StoreError`; then nothing has changed.
        """
        commit.clear_result()
        try:
            with self.tables.transaction():
                for name, start, stop in commit.settled:
                    if name in self.accounts:
                        self.tables.touch(name).settled.add(start, stop)
                if self.capped:
                    self._make_room_first(commit)
                self._insert(commit, commit.readings)
                self._make_room(commit)
                self._remember(commit.properties, commit.descriptions)
                self.tables.write_accounts(commit.changed_streams() & set(self.accounts))
        except StoreError:
            commit.clear_result()
            raise
        return commit

    def import_state(
        self,
        accounts: Mapping[str, StreamAccount],
        rows: Iterable[tuple[str, Sequence[Row]]],
        properties: Mapping[str, str],
        descriptions: Mapping[str, bytes],
        commit: Commit,
    ) -> None:
        """Import accounts, and rows numbered elsewhere, durably.

        The accounts are written first: if only some of the rows follow, the others are unsettled and missing, which
        delivery reports, and no number is assigned twice. ``commit``: records evicted rows.
        """
        with self.tables.transaction():
            for name, account in accounts.items():
                self.tables.put_account(name, account.copy())
            self._remember(properties, descriptions)
        for name, chunk in rows:
            with self.tables.transaction():
                if self.capped:
                    self._make_room_first(commit, len(chunk))
                self.tables.insert_numbered(name, chunk)
                self._make_room(commit)
                self.tables.write_accounts(commit.changed_streams())

    def put_account(self, name: str, account: StreamAccount) -> None:
        """Import one account."""
        with self.tables.transaction():
            self.tables.put_account(name, account)

    def restore_rescued(self, rows: Iterable[tuple[str, Row]], commit: Commit) -> int:
        """Put rescued rows back if they are unsettled; return how many were."""
        count = 0
        changed: set[str] = set()
        with self.tables.transaction():
            for name, row in rows:
                recovered = rescued_row(self._account(name), row)
                if recovered is not None:
                    self.tables.insert_numbered(name, [recovered])
                    changed.add(name)
                    count += 1
            self._make_room(commit)
            self.tables.write_accounts(changed | commit.changed_streams())
        return count

    def give_up(self, commit: Commit, ranges: Iterable[Range]) -> None:
        """Settle numbers whose rows do not exist any more, durably."""
        with self.tables.transaction():
            for name, start, stop in ranges:
                account = self.tables.touch(name)
                account.settled.add(start, stop)
                account.gone.add(start, stop)
                account.held.remove(start, stop)
                self.tables.write_accounts([name])
            self._remember(commit.properties, commit.descriptions)
            self._insert(commit, commit.readings)
            self.tables.write_accounts(commit.assigned)

    def copy_to(self, path: Path) -> None:
        """Write the whole content into a new file."""
        with self.tables.translating():
            target = sqlite3.connect(path)
            try:
                self.tables.connection.backup(target)
            finally:
                target.close()

    def cap_size(self) -> None:
        """The disk is full: use only the existing pages, and restart the log in place."""
        with self.tables.translating():
            (self._cap_pages,) = self.tables.connection.execute("PRAGMA page_count").fetchone()
            self.tables.connection.execute(f"PRAGMA max_page_count={self._cap_pages}")
        self.checkpoint()

    def checkpoint(self) -> None:
        """Checkpoint the log so that it restarts in place, as far as the disk allows."""
        with suppress(sqlite3.Error):
            self.tables.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def uncap_size(self) -> None:
        """Allow the file to grow: the disk has space again."""
        self._cap_pages = 0
        with self.tables.translating():
            self.tables.connection.execute("PRAGMA max_page_count=1073741823")

    def close(self) -> None:
        """Checkpoint the log and close the file."""
        self.tables.close()

    def _make_room(self, commit: Commit) -> None:
        self._insert(commit, self._evictor.make_room(commit, self._size.limit_pages))

    def _make_room_first(self, commit: Commit, rows: int = 0) -> None:
        """Free as many pages as this commit may need, since the file cannot grow."""
        size = sum(len(reading.body) + 48 for reading in commit.readings) + 200 * rows
        limit = self._cap_pages - 24 - size // 700
        events = self._evictor.make_room(commit, max(8, limit), may_shed=self._cap_pages >= _WORTH_SHEDDING_PAGES)
        self._insert(commit, events)

    def _remember(self, properties: Mapping[str, str], descriptions: Mapping[str, bytes]) -> None:
        for name, value in properties.items():
            self.set_property(name, value)
        for meta_hash, sensors in descriptions.items():
            self.describe(meta_hash, sensors)

    def _insert(self, commit: Commit, readings: Iterable[Reading]) -> None:
        records: list[Record] = []
        following: dict[str, int] = {}
        contexts: dict[tuple[int, str], int] = {}
        for reading in readings:
            name, (t, mono_ms, clock_quality) = reading.stream, reading.stamp
            key = following.get(name) or self._first_key(commit, name)
            following[name] = key + 1
            context = contexts.get((clock_quality, reading.meta_hash))
            if context is None:
                current = Context(self.property("ep"), self._boot_id, clock_quality, reading.meta_hash)
                context = contexts[clock_quality, reading.meta_hash] = self.tables.context(current)
            records.append((key, context, t, mono_ms, reading.body, row_check(key, t, mono_ms, context, reading.body)))
        self.tables.insert(records)
        for name, key in following.items():
            account = self.tables.touch(name)
            account.next = key & SEQ_MASK
            commit.assigned[name] = (commit.assigned[name][0], account.next)

    def _first_key(self, commit: Commit, name: str) -> int:
        """Return the key of a stream's next row, and record it as the first one that this commit assigns."""
        account = self._account(name)
        commit.assigned.setdefault(name, (account.next, account.next))
        return self.tables.key(name, account.next)

    def _account(self, name: str) -> StreamAccount:
        """Return the account of a stream, possibly new, prepared for a change."""
        if name in self.accounts:
            return self.tables.touch(name)
        first = int(self.property(FIRST_NUMBER_KEY) or FIRST_NUMBER)
        return self.tables.put_account(name, StreamAccount.starting_at(first, self.property("ep")))
