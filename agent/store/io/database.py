"""The store's file: SQLite, one connection, used from one thread.

Rows are clustered by (stream, number), so any range to send, resend or delete is contiguous. Every change is one
transaction with ``synchronous=FULL``: once :meth:`Database.commit` has returned, its rows outlive a power cut. The same
in memory (:data:`MEMORY`) is where numbers are given while the file cannot be written.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agent.base.reading import Context, Reading, Row
from agent.store.commit import Commit, Range
from agent.store.format.row_key import SEQ_MASK, row_check
from agent.store.io.database_room import Room
from agent.store.io.database_schema import MEMORY, FileSize
from agent.store.io.database_tables import Record, Tables
from agent.store.io.errors import StoreBroken, StoreBusy, StoreError, StoreFull, StoreNewer
from agent.store.recovery import recovered_row
from agent.store.stream_account import FIRST_NUMBER, StreamAccount

__all__ = ["MEMORY", "Commit", "Database", "Range", "StoreBroken", "StoreBusy", "StoreError", "StoreFull", "StoreNewer"]

FIRST = "first"
"""The property that says with which number a new stream begins."""
_WORTH_SHEDDING_PAGES = 8192
"""A cramped file below this size is not worth giving up undelivered rows: memory holds as many."""


class Database:
    """The open file. Every method blocks and belongs in one thread; each raises a kind of
    :class:`~agent.store.io.errors.StoreError`, and has then changed nothing.

    ``tables``: what it is made of. ``new_ep``: the epoch of a new file.
    """

    def __init__(self, path: Path, max_bytes: int, boot_id: str, new_ep: str, *, read_only: bool = False) -> None:
        self._bid = boot_id
        self.read_only = read_only
        self._size = FileSize.within(max_bytes, path)
        self._cap_pages = 0
        self.tables = Tables(path, read_only=read_only)
        self._room = Room(self.tables, "memory" if path == MEMORY else "overflow")
        try:
            with self.tables.translating():
                self.tables.connection.execute(f"PRAGMA wal_autocheckpoint={self._size.wal_pages}")
                if not read_only and not self.property("ep"):
                    self.set_property("ep", new_ep)
        except StoreError:
            self.close()
            raise

    @property
    def accounts(self) -> Mapping[str, StreamAccount]:
        """The accounts as the file has them."""
        return self.tables.accounts

    @property
    def ids(self) -> Mapping[str, int]:
        """The streams' numbers inside the file."""
        return self.tables.ids

    @property
    def properties(self) -> Mapping[str, str]:
        """Everything that is remembered."""
        return self.tables.properties

    @property
    def wal_bytes(self) -> int:
        """How long the log usually is."""
        return self._size.wal_bytes

    @property
    def cramped(self) -> bool:
        """Whether the file may not grow."""
        return self._cap_pages > 0

    def property(self, name: str) -> str:
        """A durable property of the store; empty where it was never set."""
        return self.properties.get(name, "")

    def set_property(self, name: str, value: str) -> None:
        """Set a property, durably."""
        self.tables.set_property(name, value)

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Keep a description for as long as rows need it."""
        self.tables.describe(meta_hash, sensors)

    def description(self, meta_hash: str) -> bytes:
        """The bytes of a description; empty where it is not known."""
        return self.tables.description(meta_hash)

    def descriptions(self) -> dict[str, bytes]:
        """All descriptions."""
        return self.tables.descriptions()

    def newest_ms(self) -> int:
        """The newest time of any stream's last rows that was measured by a set clock; 0 where there is none."""
        return self.tables.newest_ms()

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """The rows of ``[start, stop)`` that are there, rising, at most ``limit``."""
        return self.tables.rows(stream, start, stop, limit)

    def begin_epoch(self, epoch: str, since: Mapping[str, int]) -> None:
        """Count the numbers from ``since`` (stream -> number; else the next one) on to a new epoch, durably."""
        with self.tables.transaction():
            self.set_property("ep", epoch)
            for name in self.accounts:
                account = self.tables.touch(name)
                account.begin_epoch(epoch, since.get(name, account.next))
                self.tables.move_to_epoch(name, account.epochs[-1][0], account.next, epoch)
            self.tables.write_accounts(self.accounts)

    def commit(self, commit: Commit) -> Commit:
        """Make readings durable and give them their numbers, all or none; settle; make room.

        Raises :class:`StoreFull` or another :class:`StoreError`; then nothing has changed.
        """
        commit.undo()
        try:
            with self.tables.transaction():
                for name, start, stop in commit.settled:
                    if name in self.accounts:
                        self.tables.touch(name).settled.add(start, stop)
                if self.cramped:
                    self._make_room_beforehand(commit)
                self._insert(commit, commit.readings)
                self._make_room(commit)
                self._remember(commit.properties, commit.descriptions)
                self.tables.write_accounts(commit.changed() & set(self.accounts))
        except StoreError:
            commit.undo()
            raise
        return commit

    def absorb(
        self,
        accounts: Mapping[str, StreamAccount],
        rows: Iterable[tuple[str, Sequence[Row]]],
        properties: Mapping[str, str],
        descriptions: Mapping[str, bytes],
        commit: Commit,
    ) -> None:
        """Take over accounts as they are, and rows that were numbered elsewhere, all durably.

        The accounts come first: should only a part of the rows follow, the others are owed and not there, which the
        delivery tells of, and no number is given twice. ``commit``: for what has to go.
        """
        with self.tables.transaction():
            for name, account in accounts.items():
                self.tables.put_account(name, account.copy())
            self._remember(properties, descriptions)
        for name, some in rows:
            with self.tables.transaction():
                if self.cramped:
                    self._make_room_beforehand(commit, len(some))
                self.tables.insert_numbered(name, some)
                self._make_room(commit)
                self.tables.write_accounts(commit.changed())

    def put_account(self, name: str, account: StreamAccount) -> None:
        """Take over one account as it is."""
        with self.tables.transaction():
            self.tables.put_account(name, account)

    def recover(self, rows: Iterable[tuple[str, Row]], commit: Commit) -> int:
        """Put back rows that were rescued, as far as they are owed; give how many that were."""
        count = 0
        changed: set[str] = set()
        with self.tables.transaction():
            for name, row in rows:
                recovered = recovered_row(self._account(name), row)
                if recovered is not None:
                    self.tables.insert_numbered(name, [recovered])
                    changed.add(name)
                    count += 1
            self._make_room(commit)
            self.tables.write_accounts(changed | commit.changed())
        return count

    def give_up(self, commit: Commit, ranges: Iterable[Range]) -> None:
        """Settle numbers whose rows are nowhere, durably."""
        with self.tables.transaction():
            for name, start, stop in ranges:
                account = self.tables.touch(name)
                account.settled.add(start, stop)
                account.gone.add(start, stop)
                account.held.remove(start, stop)
                self.tables.write_accounts([name])
            self._remember(commit.properties, commit.descriptions)
            self._insert(commit, commit.readings)
            self.tables.write_accounts(commit.given)

    def copy_to(self, path: Path) -> None:
        """Write all that is here into a new file."""
        with self.tables.translating():
            target = sqlite3.connect(path)
            try:
                self.tables.connection.backup(target)
            finally:
                target.close()

    def cramp(self) -> None:
        """The disk is full: live within the pages that there are, and let the log begin again in its own place."""
        with self.tables.translating():
            (self._cap_pages,) = self.tables.connection.execute("PRAGMA page_count").fetchone()
            self.tables.connection.execute(f"PRAGMA max_page_count={self._cap_pages}")
        self.write_log_back()

    def write_log_back(self) -> None:
        """Let the log begin again in its own place, as far as the disk takes it."""
        with suppress(sqlite3.Error):
            self.tables.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def relax(self) -> None:
        """There is room on the disk again."""
        self._cap_pages = 0
        with self.tables.translating():
            self.tables.connection.execute("PRAGMA max_page_count=1073741823")

    def close(self) -> None:
        """Write the log back and close the file."""
        self.tables.close()

    def _make_room(self, commit: Commit) -> None:
        self._insert(commit, self._room.make(commit, self._size.limit_pages))

    def _make_room_beforehand(self, commit: Commit, rows: int = 0) -> None:
        """Free as many pages as this commit may need, since the file cannot grow."""
        size = sum(len(reading.body) + 48 for reading in commit.readings) + 200 * rows
        limit = self._cap_pages - 24 - size // 700
        events = self._room.make(commit, max(8, limit), sheds=self._cap_pages >= _WORTH_SHEDDING_PAGES)
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
                current = Context(self.property("ep"), self._bid, clock_quality, reading.meta_hash)
                context = contexts[clock_quality, reading.meta_hash] = self.tables.context(current)
            records.append((key, context, t, mono_ms, reading.body, row_check(key, t, mono_ms, context, reading.body)))
        self.tables.insert(records)
        for name, key in following.items():
            account = self.tables.touch(name)
            account.next = key & SEQ_MASK
            commit.given[name] = (commit.given[name][0], account.next)

    def _first_key(self, commit: Commit, name: str) -> int:
        """The key of a stream's next row, which is noted as the first that this commit gives."""
        account = self._account(name)
        commit.given.setdefault(name, (account.next, account.next))
        return self.tables.key(name, account.next)

    def _account(self, name: str) -> StreamAccount:
        """The account of a stream, which may be new, about to be changed."""
        if name in self.accounts:
            return self.tables.touch(name)
        first = int(self.property(FIRST) or FIRST_NUMBER)
        return self.tables.put_account(name, StreamAccount.beginning_at(first, self.property("ep")))
