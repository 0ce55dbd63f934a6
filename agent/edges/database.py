"""The store's file: SQLite, one connection, used from one thread.

Rows are clustered by (stream, number), so any range to send, resend or delete is contiguous. Every change is one
transaction with ``synchronous=FULL``: once :meth:`Database.commit` has returned, its rows outlive a power cut. The same
in memory (:data:`MEMORY`) is where numbers are given while the file cannot be written.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.core.account import FIRST_NUMBER, StreamAccount
from agent.core.reading import Context, Reading, Row
from agent.core.row_key import SEQ_BITS, row_check
from agent.edges.database_room import Commit, Range, Room
from agent.edges.store_errors import StoreBroken, StoreBusy, StoreError, StoreFull, StoreNewer, translated

__all__ = ["MEMORY", "Commit", "Database", "Range", "StoreBroken", "StoreBusy", "StoreError", "StoreFull", "StoreNewer"]

SCHEMA_VERSION = 2
_NEWEST_IMAGINABLE = 1000
"""A schema's number above this is no release's, but damage."""
MEMORY = Path(":memory:")
FIRST = "first"
"""The property that says with which number a new stream begins."""
_PAGE_BYTES = 1024
# A small page: the usual commit changes few rows, and an SD card pays for every page written.
_WORTH_SHEDDING_PAGES = 8192
"""A cramped file below this size is not worth giving up undelivered rows: memory holds as many."""

_SCHEMA = """
CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next INTEGER NOT NULL,
                     epochs TEXT NOT NULL, settled TEXT NOT NULL, gone TEXT NOT NULL);
CREATE TABLE context (id INTEGER PRIMARY KEY, ep TEXT NOT NULL, bid TEXT NOT NULL, cq INTEGER NOT NULL,
                      mh TEXT NOT NULL);
CREATE TABLE description (mh TEXT PRIMARY KEY, sensors BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE reading (key INTEGER PRIMARY KEY, context INTEGER NOT NULL, t INTEGER NOT NULL,
                      mono_ms INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER);
"""
_NEWEST_ROWS = 4000
_INSERT = "INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?)"


def as_text(pairs: Iterable[tuple[int, int]]) -> str:
    """Ranges as the file has them."""
    return " ".join(f"{start}-{stop}" for start, stop in pairs)


def _as_pairs(text: str) -> list[tuple[int, int]]:
    return [(int(start), int(stop)) for start, _, stop in (part.partition("-") for part in text.split())]


def read_account(following: int, epochs: str, settled: str, gone: str) -> StreamAccount:
    """An account as the file has it. Raises :class:`ValueError` where it makes no sense."""
    starts = [(int(start), ep) for start, _, ep in (part.partition(":") for part in epochs.split())]
    account = StreamAccount(starts, following, _as_pairs(settled), _as_pairs(gone))
    numbers = [start for start, _ in starts]
    ranges = [number for one in (account.settled, account.gone) for pair in one for number in pair]
    if not starts or numbers != sorted(set(numbers)) or min(ranges, default=1) < 1:
        raise ValueError(epochs)
    if not max(numbers[-1], *ranges, 1) <= following < 1 << SEQ_BITS:
        raise ValueError(following)
    return account


class Database:
    """The open file. Every method blocks and belongs in one thread; each raises a kind of
    :class:`~agent.edges.store_errors.StoreError`, and has then changed nothing.

    ``accounts``: as the file has them. ``new_ep``: the epoch of a new file.
    """

    def __init__(self, path: Path, max_bytes: int, bid: str, new_ep: str, *, read_only: bool = False) -> None:
        self._path = path
        self._bid = bid
        self.read_only = read_only
        self._version = SCHEMA_VERSION
        """Of the file: an older one only where it cannot be written."""
        self._connection = self._open()
        wal_pages = min(1000, max(32, max_bytes // (16 * _PAGE_BYTES)))
        self.wal_bytes = wal_pages * (_PAGE_BYTES + 24) + 32
        self._limit_pages = max_bytes // _PAGE_BYTES - (0 if path == MEMORY else 4 * wal_pages)
        self._cap_pages = 0
        self._properties: dict[str, str] = {}
        self._contexts: dict[Context, int] = {}
        self._contexts_by_id: dict[int, Context] = {}
        self._ids: dict[str, int] = {}
        self.accounts: dict[str, StreamAccount] = {}
        self._undo: dict[str, StreamAccount | None] = {}
        self._room = Room(self._connection, self.accounts, self._ids, self._touch,
                          "memory" if path == MEMORY else "overflow")  # fmt: skip
        try:
            with self._translating():
                self._connection.execute(f"PRAGMA wal_autocheckpoint={wal_pages}")
                self._load()
                if "ep" not in self._properties and not read_only:
                    self.set_property("ep", new_ep)
        except StoreError:
            self.close()
            raise

    @property
    def ids(self) -> Mapping[str, int]:
        """The streams' numbers inside the file."""
        return self._ids

    @property
    def cramped(self) -> bool:
        """Whether the file may not grow."""
        return self._cap_pages > 0

    @property
    def properties(self) -> Mapping[str, str]:
        """Everything that is remembered."""
        return self._properties

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, LookupError, OverflowError) as error:
            raise translated(error, self._path) from error

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """All or nothing, in the file and in what is known of it here."""
        kept = (dict(self._properties), set(self._contexts_by_id), dict(self._ids))
        self._undo.clear()
        with self._translating():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                self._take_back(*kept)
                raise

    def _take_back(self, properties: dict[str, str], contexts: set[int], ids: dict[str, int]) -> None:
        self._properties = properties
        for number in set(self._contexts_by_id) - contexts:
            del self._contexts[self._contexts_by_id.pop(number)]
        for name in set(self._ids) - set(ids):
            del self._ids[name]
        for name, account in self._undo.items():
            if account is None:
                self.accounts.pop(name, None)
            else:
                self.accounts[name] = account

    def _touch(self, name: str) -> StreamAccount:
        """An account that is about to be changed in this transaction."""
        account = self.accounts[name]
        if name not in self._undo:
            self._undo[name] = account.copy()
        return account

    def _load(self) -> None:
        """Take properties, contexts and accounts as the file has them."""
        execute = self._connection.execute
        self._properties = dict(execute("SELECT name, value FROM property"))
        for number, *rest in execute("SELECT id, ep, bid, cq, mh FROM context"):
            self._remember(number, Context(*rest))
        for number, name, *account in execute("SELECT id, name, next, epochs, settled, gone FROM stream"):
            self._ids[name] = number
            self.accounts[name] = read_account(*account)

    def _open(self) -> sqlite3.Connection:
        words = f"file:{_quoted(self._path)}?mode=ro" if self.read_only else str(self._path)
        if self.read_only and not self._path.with_name(self._path.name + "-wal").exists():
            words += "&immutable=1"  # nothing is beside it, and nothing can be made there
        try:
            connection = sqlite3.connect(words, isolation_level=None, timeout=0.5, uri=self.read_only)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        try:
            version = self._prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, self._path) from error
        if version > SCHEMA_VERSION or version < 0:
            connection.close()
            imaginable = 0 < version < _NEWEST_IMAGINABLE
            raise (StoreNewer(str(self._path)) if imaginable else StoreBroken(f"{self._path}: schema {version}"))
        self._version = version if self.read_only else SCHEMA_VERSION
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> int:
        """Set the connection up and make the tables of a new file; give the version of the schema that it found."""
        if self.read_only:
            connection.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-512; PRAGMA query_only=1;")
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        # EXCLUSIVE: nobody else may write, and the WAL's index lies in memory instead of a third file.
        connection.executescript(
            f"PRAGMA page_size={_PAGE_BYTES}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
            "PRAGMA synchronous=FULL; PRAGMA cache_size=-512; PRAGMA temp_store=MEMORY;"
            "PRAGMA journal_size_limit=1048576;"
        )
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = _SCHEMA if version == 0 else ""
        if version == 1:
            tables = "ALTER TABLE reading ADD COLUMN crc INTEGER;"
        if tables:
            tables += f" PRAGMA user_version={SCHEMA_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {tables} COMMIT")
        return int(version)

    def property(self, name: str) -> str:
        """A durable property of the store; empty where it was never set."""
        return self._properties.get(name, "")

    def set_property(self, name: str, value: str) -> None:
        """Set a property, durably."""
        with self._translating():
            self._connection.execute("INSERT OR REPLACE INTO property VALUES (?, ?)", (name, value))
        self._properties[name] = value

    def begin_epoch(self, ep: str, since: Mapping[str, int]) -> None:
        """Count the numbers from ``since`` (stream -> number; else the next one) on to a new epoch, durably."""
        with self._transaction() as execute:
            self.set_property("ep", ep)
            for name in self.accounts:
                account = self._touch(name)
                account.begin_epoch(ep, since.get(name, account.next))
                self._write_account(name)
                base = self._ids[name] << SEQ_BITS
                span = (base | account.epochs[-1][0], base | account.next)
                moved: list[tuple[int, int, int]] = []
                for key, t, mono_ms, old, body in execute(
                    "SELECT key, t, mono_ms, context, body FROM reading WHERE key >= ? AND key < ?", span
                ):
                    new = self._context(self._contexts_by_id[old]._replace(ep=ep))
                    moved.append((new, row_check(key, t, mono_ms, new, body), key))
                self._connection.executemany("UPDATE reading SET context = ?, crc = ? WHERE key = ?", moved)

    def describe(self, mh: str, sensors: bytes) -> None:
        """Keep a description for as long as rows need it."""
        with self._translating():
            self._connection.execute("INSERT OR IGNORE INTO description VALUES (?, ?)", (mh, sensors))

    def description(self, mh: str) -> bytes:
        """The bytes of a description; empty where it is not known."""
        with self._translating():
            found = self._connection.execute("SELECT sensors FROM description WHERE mh = ?", (mh,)).fetchone()
        return bytes(found[0]) if found else b""

    def descriptions(self) -> dict[str, bytes]:
        """All descriptions."""
        with self._translating():
            return dict(self._connection.execute("SELECT mh, sensors FROM description"))

    def newest_ms(self) -> int:
        """The newest time of any stream's last rows that was measured by a set clock; 0 where there is none."""
        newest = 0
        with self._translating():
            for number in self._ids.values():
                (found,) = self._connection.execute(
                    "SELECT max(t) FROM (SELECT t, context FROM reading WHERE key BETWEEN ? AND ?"
                    " ORDER BY key DESC LIMIT ?) JOIN context ON context.id = context WHERE cq > 0",
                    (number << SEQ_BITS, (number + 1) << SEQ_BITS, _NEWEST_ROWS),
                ).fetchone()
                newest = max(newest, found or 0)
        return newest

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """The rows of ``[start, stop)`` that are there, rising, at most ``limit``."""
        if stream not in self._ids:
            return []
        base = self._ids[stream] << SEQ_BITS
        checks = "crc" if self._version == SCHEMA_VERSION else "NULL"
        with self._translating():
            found = self._connection.execute(
                f"SELECT key, t, mono_ms, context, body, {checks} FROM reading WHERE key >= ? AND key < ?"
                " ORDER BY key LIMIT ?",
                (base | start, base | stop, limit),
            ).fetchall()
            contexts = self._contexts_by_id
            before = (base | start) - 1
            for key, t, mono_ms, context, body, check in found:
                if check is not None and check != row_check(key, t, mono_ms, context, body):
                    raise ValueError("checksum")
                if not before < key < base | stop:
                    raise ValueError("a page of other rows")
                before = key
            return [Row(key - base, t, mono_ms, contexts[context], body) for key, t, mono_ms, context, body, _ in found]

    def commit(self, commit: Commit) -> Commit:
        """Make readings durable and give them their numbers, all or none; settle; make room.

        Raises :class:`StoreFull` or another :class:`StoreError`; then nothing has changed.
        """
        commit.undo()
        try:
            with self._transaction():
                for name, start, stop in commit.settled:
                    if name in self.accounts:
                        self._touch(name).settled.add(start, stop)
                if self._cap_pages:
                    self._make_room_beforehand(commit)
                self._insert(commit, commit.readings)
                self._insert(commit, self._room.make(commit, self._limit_pages))
                self._write(commit.properties, commit.descriptions)
                touched = {*commit.given, *(name for name, _, _ in (*commit.settled, *commit.gone))}
                for name in touched & set(self.accounts):
                    self._write_account(name)
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
        with self._transaction():
            for name, account in accounts.items():
                if name in self.accounts:
                    self._touch(name)
                else:
                    self._new_account(name, account.copy())
                self.accounts[name] = account.copy()
                self._write_account(name)
            self._write(properties, descriptions)
        for name, some in rows:
            with self._transaction():
                if self._cap_pages:
                    self._make_room_beforehand(commit, len(some))
                self._insert_numbered(name, some)
                events = self._room.make(commit, self._limit_pages)
                self._insert(commit, events)
                for one in {*commit.given, *(gone for gone, _, _ in commit.gone)}:
                    self._write_account(one)

    def take(self, name: str, account: StreamAccount) -> None:
        """Take over one account as it is."""
        with self._transaction():
            if name in self.accounts:
                self._touch(name)
            else:
                self._new_account(name, account)
            self.accounts[name] = account
            self._write_account(name)

    def recover(self, rows: Iterable[tuple[str, Row]], commit: Commit) -> int:
        """Put back rows that were rescued, as far as they are owed; give how many that were."""
        count = 0
        changed: set[str] = set()
        fresh = int(self.property(FIRST) or FIRST_NUMBER)
        with self._transaction():
            for name, row in rows:
                if name not in self.accounts:
                    self._new_account(name, StreamAccount.beginning_at(fresh, self._properties["ep"]))
                account = self._touch(name)
                if row.seq in account.held:
                    account.held.remove(row.seq, row.seq + 1)
                    if not row.context.ep:
                        row = row._replace(context=row.context._replace(ep=account.epoch_of(row.seq)))
                elif row.context.ep and account.epoch_of(row.seq) == "" and row.seq in account.gone:
                    account.recovered(row.seq, row.seq + 1, row.context.ep)
                else:
                    continue
                self._insert_numbered(name, [row])
                changed.add(name)
                count += 1
            self._insert(commit, self._room.make(commit, self._limit_pages))
            for name in {*changed, *commit.given, *(gone for gone, _, _ in commit.gone)}:
                self._write_account(name)
        return count

    def give_up(self, commit: Commit, ranges: Iterable[Range]) -> None:
        """Settle numbers whose rows are nowhere, durably."""
        with self._transaction():
            for name, start, stop in ranges:
                account = self._touch(name)
                account.settled.add(start, stop)
                account.gone.add(start, stop)
                account.held.remove(start, stop)
                self._write_account(name)
            self._write(commit.properties, commit.descriptions)
            self._insert(commit, commit.readings)
            for name in commit.given:
                self._write_account(name)

    def copy_to(self, path: Path) -> None:
        """Write all that is here into a new file."""
        with self._translating():
            target = sqlite3.connect(path)
            try:
                self._connection.backup(target)
            finally:
                target.close()

    def cramp(self) -> None:
        """The disk is full: live within the pages that there are, and let the log begin again in its own place."""
        with self._translating():
            (self._cap_pages,) = self._connection.execute("PRAGMA page_count").fetchone()
            self._connection.execute(f"PRAGMA max_page_count={self._cap_pages}")
        self.write_log_back()

    def write_log_back(self) -> None:
        """Let the log begin again in its own place, as far as the disk takes it."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def relax(self) -> None:
        """There is room on the disk again."""
        self._cap_pages = 0
        with self._translating():
            self._connection.execute("PRAGMA max_page_count=1073741823")

    def close(self) -> None:
        """Write the log back and close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _make_room_beforehand(self, commit: Commit, rows: int = 0) -> None:
        """Free as many pages as this commit may need, since the file cannot grow."""
        size = sum(len(reading.body) + 48 for reading in commit.readings) + 200 * rows
        limit = self._cap_pages - 24 - size // 700
        events = self._room.make(commit, max(8, limit), sheds=self._cap_pages >= _WORTH_SHEDDING_PAGES)
        self._insert(commit, events)

    def _write(self, properties: Mapping[str, str], descriptions: Mapping[str, bytes]) -> None:
        for name, value in properties.items():
            self.set_property(name, value)
        for mh, sensors in descriptions.items():
            self.describe(mh, sensors)

    def _insert(self, commit: Commit, readings: Iterable[Reading]) -> None:
        records: list[tuple[int, int, int, int, bytes, int]] = []
        following: dict[str, int] = {}
        contexts: dict[tuple[int, str], int] = {}
        for reading in readings:
            name, (t, mono_ms, cq) = reading.stream, reading.stamp
            key = following.get(name) or self._first_key(commit, name)
            following[name] = key + 1
            context = contexts.get((cq, reading.mh)) or self._current_context(cq, reading.mh)
            contexts[cq, reading.mh] = context
            records.append((key, context, t, mono_ms, reading.body, row_check(key, t, mono_ms, context, reading.body)))
        self._connection.executemany(_INSERT, records)
        for name, key in following.items():
            account = self._touch(name)
            account.next = key & ((1 << SEQ_BITS) - 1)
            commit.given[name] = (commit.given[name][0], account.next)

    def _insert_numbered(self, name: str, rows: Iterable[Row]) -> None:
        base = self._ids[name] << SEQ_BITS
        records = []
        for row in rows:
            key, context = base | row.seq, self._context(row.context)
            records.append((key, context, row.t, row.mono_ms, row.body,
                            row_check(key, row.t, row.mono_ms, context, row.body)))  # fmt: skip
        self._connection.executemany(_INSERT.replace("INSERT", "INSERT OR REPLACE"), records)

    def _first_key(self, commit: Commit, name: str) -> int:
        """The key of a stream's next row, which is noted as the first that this commit gives."""
        account = self.accounts.get(name)
        if account is None:
            first = int(self.property(FIRST) or FIRST_NUMBER)
            account = self._new_account(name, StreamAccount.beginning_at(first, self._properties["ep"]))
        commit.given.setdefault(name, (account.next, account.next))
        return self._ids[name] << SEQ_BITS | account.next

    def _current_context(self, cq: int, mh: str) -> int:
        return self._context(Context(self._properties["ep"], self._bid, cq, mh))

    def _context(self, context: Context) -> int:
        return self._contexts.get(context) or self._new_context(context)

    def _new_account(self, name: str, account: StreamAccount) -> StreamAccount:
        self._undo.setdefault(name, None)
        self.accounts[name] = account
        self._ids[name] = number = max(self._ids.values(), default=0) + 1
        self._connection.execute("INSERT INTO stream VALUES (?, ?, ?, '', '', '')", (number, name, account.next))
        self._write_account(name)
        return account

    def _write_account(self, name: str) -> None:
        account = self.accounts[name]
        self._connection.execute(
            "UPDATE stream SET next = ?, epochs = ?, settled = ?, gone = ? WHERE id = ?",
            (
                account.next,
                " ".join(f"{start}:{ep}" for start, ep in account.epochs),
                as_text(account.settled),
                as_text(account.gone),
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


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
