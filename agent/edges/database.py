"""The store's file: SQLite, one connection, used from one thread.

Rows lie by (stream, number), so that a range of one stream is one stretch of the tree: to send, to send again, to
delete. Every change is one transaction with ``synchronous=FULL``: once :meth:`Database.commit` has returned,
its rows outlive a power cut.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.account import FIRST_NUMBER, StreamAccount
from agent.core.events import rows_lost
from agent.core.reading import AGENT, Context, Reading, Row, Stamp, event
from agent.core.wire import packed

SCHEMA_VERSION = 1
_PAGE_BYTES = 1024
# A small page: the usual commit changes few rows, and an SD card pays for every page written.
_SEQ_BITS = 44
# The key of a row is stream << 44 | seq, one integer: 2^19 streams of 2^44 rows (at 20,000 a second, 27 years).
_SHED_ROWS = 256

Range = tuple[str, int, int]
"""A stream, the first number of a range, and the one after its last."""

_SCHEMA = """
CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next INTEGER NOT NULL,
                     epochs TEXT NOT NULL, settled TEXT NOT NULL, gone TEXT NOT NULL);
CREATE TABLE context (id INTEGER PRIMARY KEY, ep TEXT NOT NULL, bid TEXT NOT NULL, cq INTEGER NOT NULL,
                      mh TEXT NOT NULL);
CREATE TABLE description (mh TEXT PRIMARY KEY, sensors BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE reading (key INTEGER PRIMARY KEY, context INTEGER NOT NULL, t INTEGER NOT NULL,
                      mono_ms INTEGER NOT NULL, body BLOB NOT NULL);
"""


class StoreError(Exception):
    """The store's file cannot be used; the text says why."""


class StoreBusy(StoreError):
    """Another process holds the store's file."""


class StoreBroken(StoreError):
    """The file is no store, or a damaged one."""


class StoreNewer(StoreError):
    """A newer release wrote this store."""


class StoreFull(StoreError):
    """There is no room on the disk for the rows; they are not durable."""


@dataclass(slots=True)
class Commit:
    """One transaction: readings in, numbers out.

    ``now`` and ``mh``: for the ``lost`` events of rows that have to go. ``settled``: ranges settled since the
    last commit. ``properties``: what is to be remembered with it. Filled in by :meth:`Database.commit`: ``given``,
    stream -> (first number, one after the last); ``shed`` and ``gone``, (stream, start, stop): undelivered rows that
    were given up, and all rows that left the ring.
    """

    readings: Sequence[Reading]
    now: Stamp
    mh: str
    settled: Sequence[Range] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    given: dict[str, tuple[int, int]] = field(default_factory=dict)
    shed: list[Range] = field(default_factory=list)
    gone: list[Range] = field(default_factory=list)


def _as_text(pairs: Iterable[tuple[int, int]]) -> str:
    return " ".join(f"{start}-{stop}" for start, stop in pairs)


def _as_pairs(text: str) -> list[tuple[int, int]]:
    return [(int(start), int(stop)) for start, _, stop in (part.partition("-") for part in text.split())]


class Database:
    """The open file. Every method blocks and belongs in one thread.

    Raises :class:`StoreBusy`, :class:`StoreBroken` or :class:`StoreNewer` on opening.
    """

    def __init__(self, path: Path, max_bytes: int, bid: str, ep: str) -> None:
        self._path = path
        self._bid = bid
        self._connection = self._open()
        wal_pages = min(1000, max(32, max_bytes // (16 * _PAGE_BYTES)))
        self._limit_pages = max_bytes // _PAGE_BYTES - 4 * wal_pages
        self._connection.execute(f"PRAGMA wal_autocheckpoint={wal_pages}")
        self._properties: dict[str, str] = {}
        self._contexts: dict[Context, int] = {}
        self._contexts_by_id: dict[int, Context] = {}
        self._ids: dict[str, int] = {}
        self.accounts: dict[str, StreamAccount] = {}
        self._load()
        if "ep" not in self._properties:
            self.set_property("ep", ep)

    def _load(self) -> None:
        """Take properties, contexts and accounts as the file has them."""
        execute = self._connection.execute
        self._properties = dict(execute("SELECT name, value FROM property"))
        self._contexts.clear()
        self._contexts_by_id.clear()
        for number, *rest in execute("SELECT id, ep, bid, cq, mh FROM context"):
            self._remember(number, Context(*rest))
        self._ids.clear()
        self.accounts.clear()
        for number, name, following, epochs, settled, gone in execute("SELECT * FROM stream"):
            self._ids[name] = number
            starts = [(int(start), ep) for start, _, ep in (part.partition(":") for part in epochs.split())]
            self.accounts[name] = StreamAccount(starts, following, _as_pairs(settled), _as_pairs(gone))

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=2.0)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        try:
            version = self._prepare(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreBusy(str(self._path)) from error
            kind = StoreError if isinstance(error, sqlite3.OperationalError) else StoreBroken
            raise kind(f"{self._path}: {error}") from error
        if version > SCHEMA_VERSION:
            connection.close()
            raise StoreNewer(str(self._path))
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> int:
        """Set the connection up and make the tables of a new file; give the version of the schema that it found."""
        # EXCLUSIVE: nobody else may write, and the WAL's index lies in memory instead of a third file.
        connection.executescript(
            f"PRAGMA page_size={_PAGE_BYTES}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=FULL; PRAGMA cache_size=-512; PRAGMA temp_store=MEMORY;"
            "PRAGMA journal_size_limit=1048576;"
        )
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = "" if version else f"{_SCHEMA} PRAGMA user_version={SCHEMA_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {tables} COMMIT")
        return int(version)

    def property(self, name: str) -> str:
        """A durable property of the store; empty where it was never set."""
        return self._properties.get(name, "")

    def set_property(self, name: str, value: str) -> None:
        """Set a property, durably."""
        self._connection.execute("INSERT OR REPLACE INTO property VALUES (?, ?)", (name, value))
        self._properties[name] = value

    def begin_epoch(self, ep: str, since: Mapping[str, int]) -> None:
        """Count the numbers from ``since`` (stream -> number; else the next one) on to a new epoch, durably."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            self.set_property("ep", ep)
            for name, account in self.accounts.items():
                account.begin_epoch(ep, since.get(name, account.next))
                self._write_account(name)
                base = self._ids[name] << _SEQ_BITS
                span = (base | account.epochs[-1][0], base | account.next)
                for (old,) in execute(
                    "SELECT DISTINCT context FROM reading WHERE key >= ? AND key < ?", span
                ).fetchall():
                    context = self._contexts_by_id[old]._replace(ep=ep)
                    new = self._contexts.get(context) or self._new_context(context)
                    execute("UPDATE reading SET context = ? WHERE key >= ? AND key < ? AND context = ?",
                            (new, *span, old))  # fmt: skip
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            self._load()
            raise

    def describe(self, mh: str, sensors: bytes) -> None:
        """Keep a description for as long as rows may need it."""
        self._connection.execute("INSERT OR IGNORE INTO description VALUES (?, ?)", (mh, sensors))

    def description(self, mh: str) -> bytes:
        """The bytes of a description; empty where it is not known."""
        found = self._connection.execute("SELECT sensors FROM description WHERE mh = ?", (mh,)).fetchone()
        return bytes(found[0]) if found else b""

    def newest_ms(self) -> int:
        """The newest time of any row that was measured by a set clock; 0 where there is none."""
        newest = 0
        for number in self._ids.values():
            found = self._connection.execute(
                "SELECT t FROM reading JOIN context ON context.id = context WHERE key BETWEEN ? AND ? AND cq > 0"
                " ORDER BY key DESC LIMIT 1",
                (number << _SEQ_BITS, (number + 1) << _SEQ_BITS),
            ).fetchone()
            newest = max(newest, found[0] if found else 0)
        return newest

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """The rows of ``[start, stop)`` that are there, rising, at most ``limit``."""
        base = self._ids[stream] << _SEQ_BITS
        found = self._connection.execute(
            "SELECT key, t, mono_ms, context, body FROM reading WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
            (base | start, base | stop, limit),
        ).fetchall()
        contexts = self._contexts_by_id
        return [Row(key - base, t, mono_ms, contexts[context], body) for key, t, mono_ms, context, body in found]

    def commit(self, commit: Commit) -> Commit:
        """Make readings durable and give them their numbers, all or none; settle; make room.

        Raises :class:`StoreFull` or :class:`StoreError`; then nothing has changed.
        """
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            try:
                self._insert(commit, commit.readings)
                for name, start, stop in commit.settled:
                    self.accounts[name].settled.add(start, stop)
                self._make_room(commit)
                for name, value in commit.properties.items():
                    self.set_property(name, value)
                touched = {*commit.given, *(name for name, _, _ in (*commit.settled, *commit.gone))}
                for name in touched:
                    self._write_account(name)
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                self._load()
                raise
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise StoreFull(str(self._path)) from error
            raise StoreError(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path}: {error}") from error
        return commit

    def close(self) -> None:
        """Write the log back and close the file."""
        self._connection.close()

    def _insert(self, commit: Commit, readings: Iterable[Reading]) -> None:
        records: list[tuple[int, int, int, int, bytes]] = []
        following: dict[str, int] = {}
        contexts: dict[tuple[int, str], int] = {}
        for reading in readings:
            name, (t, mono_ms, cq) = reading.stream, reading.stamp
            key = following.get(name) or self._first_key(commit, name)
            following[name] = key + 1
            context = contexts.get((cq, reading.mh)) or self._context(cq, reading.mh)
            contexts[cq, reading.mh] = context
            records.append((key, context, t, mono_ms, reading.body))
        self._connection.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?)", records)
        for name, key in following.items():
            account = self.accounts[name]
            account.next = key & ((1 << _SEQ_BITS) - 1)
            commit.given[name] = (commit.given[name][0], account.next)

    def _first_key(self, commit: Commit, name: str) -> int:
        """The key of a stream's next row, which is noted as the first that this commit gives."""
        account = self.accounts.get(name) or self._new_account(name, self._properties["ep"])
        commit.given.setdefault(name, (account.next, account.next))
        return self._ids[name] << _SEQ_BITS | account.next

    def _context(self, cq: int, mh: str) -> int:
        context = Context(self._properties["ep"], self._bid, cq, mh)
        return self._contexts.get(context) or self._new_context(context)

    def _make_room(self, commit: Commit) -> None:
        """Let rows go until the file fits: delivered ones first, then telemetry, events last; the oldest first."""
        while self._used_pages() > self._limit_pages:
            victim = self._oldest(
                (name, spent) for name, account in self.accounts.items() if (spent := account.spent()) is not None
            )
            if victim is None:
                victim = self._undelivered()
                if victim is None:
                    return
                self._shed(commit, *victim)
            name, start, stop = victim
            base = self._ids[name] << _SEQ_BITS
            self._connection.execute("DELETE FROM reading WHERE key >= ? AND key < ?", (base | start, base | stop))
            self.accounts[name].settled.add(start, stop)
            self.accounts[name].gone.add(start, stop)
            commit.gone.append(victim)

    def _shed(self, commit: Commit, name: str, start: int, stop: int) -> None:
        commit.shed.append((name, start, stop))
        body = rows_lost(name, self.accounts[name].epoch_of(start), start, stop, "overflow")
        self._insert(commit, [Reading(event(AGENT), commit.now, commit.mh, packed(body))])

    def _used_pages(self) -> int:
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages) - int(free)

    def _undelivered(self) -> Range | None:
        """What is to be given up next: telemetry, then events, the agent's own at last."""
        own = event(AGENT)
        telemetry = [name for name in self.accounts if name.startswith("telemetry/")]
        events = [name for name in self.accounts if name.startswith("event/") and name != own]
        for names in (telemetry, events):
            victim = self._oldest(self._owed(names))
            if victim is not None:
                return victim
        victim = self._oldest(self._owed([own] if own in self.accounts else []))
        # Giving up one's own event costs another event: a single one would go round for ever.
        return victim if victim is not None and victim[2] - victim[1] > 1 else None

    def _owed(self, names: Iterable[str]) -> Iterable[tuple[str, tuple[int, int]]]:
        for name in names:
            account = self.accounts[name]
            owed = next(account.deliverable(), None)
            if owed is not None:
                yield name, (owed[0], min(owed[1], account.epoch_end(owed[0])))

    def _oldest(self, ranges: Iterable[tuple[str, tuple[int, int]]]) -> Range | None:
        """Of the first rows of these ranges the oldest, with the rows behind it: at most :data:`_SHED_ROWS`."""
        best: tuple[int, Range] | None = None
        for name, (start, stop) in ranges:
            key = self._ids[name] << _SEQ_BITS | start
            found = self._connection.execute("SELECT t FROM reading WHERE key = ?", (key,)).fetchone()
            t = found[0] if found else 0
            if best is None or t < best[0]:
                best = (t, (name, start, min(stop, start + _SHED_ROWS)))
        return best[1] if best else None

    def _new_account(self, name: str, ep: str) -> StreamAccount:
        account = self.accounts[name] = StreamAccount([(FIRST_NUMBER, ep)])
        self._ids[name] = number = max(self._ids.values(), default=0) + 1
        self._connection.execute(
            "INSERT INTO stream VALUES (?, ?, ?, ?, '', '')", (number, name, FIRST_NUMBER, f"{FIRST_NUMBER}:{ep}")
        )
        return account

    def _write_account(self, name: str) -> None:
        account = self.accounts[name]
        self._connection.execute(
            "UPDATE stream SET next = ?, epochs = ?, settled = ?, gone = ? WHERE id = ?",
            (
                account.next,
                " ".join(f"{start}:{ep}" for start, ep in account.epochs),
                _as_text(account.settled),
                _as_text(account.gone),
                self._ids[name],
            ),
        )

    def _new_context(self, context: Context) -> int:
        number = max(self._contexts_by_id, default=0) + 1
        self._connection.execute("INSERT INTO context VALUES (?, ?, ?, ?, ?)", (number, *context))
        self._remember(number, context)
        return number

    def _remember(self, number: int, context: Context) -> None:
        self._contexts[context] = number
        self._contexts_by_id[number] = context
