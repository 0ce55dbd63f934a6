"""The tables of the store's file and their copy in memory, which always change together."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.base.reading import Context, Row
from agent.store.format.account_text import account_columns, parse_account
from agent.store.format.row_key import SEQ_BITS, row_check
from agent.store.io.database_schema import SCHEMA_VERSION, UNCHECKED_KEY, open_file
from agent.store.io.errors import StoreError, as_store_error
from agent.store.stream_account import StreamAccount

_NEWEST_ROWS = 4000
_INSERT = "INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?)"

Record = tuple[int, int, int, int, bytes, int]
"""A row of ``reading``: key, context, time, monotonic time, body, checksum."""


class Tables:
    """One connection, used from one thread. ``accounts``, ``properties`` and ``ids`` (the streams' ids inside the file)
    are read-only; change an account within a transaction, after :meth:`touch`.

    Outside a transaction, every method raises a subclass of :class:`~agent.store.io.errors.StoreError`; inside, the
    transaction does.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self.connection, self._version = open_file(path, read_only=read_only)
        self._properties: dict[str, str] = {}
        self._contexts: dict[Context, int] = {}
        self._contexts_by_id: dict[int, Context] = {}
        self._ids: dict[str, int] = {}
        self._undo: dict[str, StreamAccount | None] = {}
        self.accounts: dict[str, StreamAccount] = {}
        try:
            with self.translating():
                self._load()
        except StoreError:
            self.close()
            raise

    @property
    def ids(self) -> Mapping[str, int]:
        """The streams' ids inside the file."""
        return self._ids

    @property
    def properties(self) -> Mapping[str, str]:
        """All stored properties."""
        return self._properties

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Translate errors into those of the store."""
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, LookupError, OverflowError) as error:
            raise as_store_error(error, self._path) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction: the file and its copy in memory change completely or not at all."""
        saved = (dict(self._properties), set(self._contexts_by_id), dict(self._ids))
        self._undo.clear()
        with self.translating():
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                self._roll_back(*saved)
                raise

    def close(self) -> None:
        """Checkpoint the log and close the file."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def used_pages(self) -> int:
        """Return the number of pages in use."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages) - int(free)

    # Properties and descriptions.

    def set_property(self, name: str, value: str) -> None:
        """Store a small text."""
        with self.translating():
            self.connection.execute("INSERT OR REPLACE INTO property VALUES (?, ?)", (name, value))
        self._properties[name] = value

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Store a description."""
        with self.translating():
            self.connection.execute("INSERT OR IGNORE INTO description VALUES (?, ?)", (meta_hash, sensors))

    def descriptions(self) -> dict[str, bytes]:
        """Return all descriptions, by ``mh``."""
        with self.translating():
            return dict(self.connection.execute("SELECT mh, sensors FROM description"))

    def description(self, meta_hash: str) -> bytes:
        """Return the bytes of a description; empty if unknown."""
        with self.translating():
            row = self.connection.execute("SELECT sensors FROM description WHERE mh = ?", (meta_hash,)).fetchone()
        return bytes(row[0]) if row else b""

    # Accounts.

    def touch(self, name: str) -> StreamAccount:
        """Return an account prepared for a change in this transaction."""
        account = self.accounts[name]
        if name not in self._undo:
            self._undo[name] = account.copy()
        return account

    def put_account(self, name: str, account: StreamAccount) -> StreamAccount:
        """Set the account of a new or existing stream."""
        if name in self.accounts:
            self.touch(name)
        else:
            self._undo.setdefault(name, None)
            self._ids[name] = number = max(self._ids.values(), default=0) + 1
            self.connection.execute("INSERT INTO stream VALUES (?, ?, ?, '', '', '')", (number, name, account.next))
        self.accounts[name] = account
        self.write_accounts([name])
        return account

    def write_accounts(self, names: Iterable[str]) -> None:
        """Write changed accounts to the file."""
        for name in names:
            self.connection.execute(
                "UPDATE stream SET next = ?, epochs = ?, settled = ?, gone = ? WHERE id = ?",
                (*account_columns(self.accounts[name]), self._ids[name]),
            )

    # Rows.

    def key(self, name: str, number: int) -> int:
        """Return the key of a row."""
        return self._ids[name] << SEQ_BITS | number

    def context(self, context: Context) -> int:
        """Return the id of a context, adding it if it is new."""
        number = self._contexts.get(context)
        if number is None:
            number = max(self._contexts_by_id, default=0) + 1
            self.connection.execute("INSERT INTO context VALUES (?, ?, ?, ?, ?)", (number, *context))
            self._add_context(number, context)
        return number

    def insert(self, records: Iterable[Record]) -> None:
        """Insert rows with new keys."""
        self.connection.executemany(_INSERT, records)

    def insert_numbered(self, name: str, rows: Iterable[Row]) -> None:
        """Insert or replace rows that are already numbered."""
        records: list[Record] = []
        for row in rows:
            key, context = self.key(name, row.seq), self.context(row.context)
            check = row_check(key, row.t, row.mono_ms, context, row.body)
            records.append((key, context, row.t, row.mono_ms, row.body, check))
        self.connection.executemany(_INSERT.replace("INSERT", "INSERT OR REPLACE"), records)

    def delete(self, name: str, start: int, stop: int) -> None:
        """Delete the rows of ``[start, stop)``."""
        span = (self.key(name, start), self.key(name, stop))
        self.connection.execute("DELETE FROM reading WHERE key >= ? AND key < ?", span)

    def time_of(self, name: str, number: int) -> int:
        """Return when a row was measured; 0 if it does not exist."""
        query = "SELECT t FROM reading WHERE key = ?"
        row = self.connection.execute(query, (self.key(name, number),)).fetchone()
        return int(row[0]) if row else 0

    def move_to_epoch(self, name: str, start: int, stop: int, epoch: str) -> None:
        """Assign the rows of ``[start, stop)`` to another epoch."""
        updates: list[tuple[int, int, int]] = []
        for key, t, mono_ms, old, body in self.connection.execute(
            "SELECT key, t, mono_ms, context, body FROM reading WHERE key >= ? AND key < ?",
            (self.key(name, start), self.key(name, stop)),
        ):
            new = self.context(self._contexts_by_id[old]._replace(epoch=epoch))
            updates.append((new, row_check(key, t, mono_ms, new, body), key))
        self.connection.executemany("UPDATE reading SET context = ?, crc = ? WHERE key = ?", updates)

    def rows(self, stream: str, start: int, stop: int, limit: int) -> list[Row]:
        """Return the existing rows of ``[start, stop)``, ascending, at most ``limit``."""
        if stream not in self._ids:
            return []
        base, end = self.key(stream, 0), self.key(stream, stop)
        checks = "crc" if self._version == SCHEMA_VERSION else "NULL"
        unchecked = self._version < SCHEMA_VERSION or UNCHECKED_KEY in self._properties
        with self.translating():
            records = self.connection.execute(
                f"SELECT key, t, mono_ms, context, body, {checks} FROM reading WHERE key >= ? AND key < ?"
                " ORDER BY key LIMIT ?",
                (base | start, end, limit),
            ).fetchall()
            contexts = self._contexts_by_id
            before = (base | start) - 1
            for key, t, mono_ms, context, body, check in records:
                if not (check is None and unchecked) and check != row_check(key, t, mono_ms, context, body):
                    raise ValueError("checksum")
                if not before < key < end:
                    raise ValueError("rows out of order")
                before = key
            return [
                Row(key - base, t, mono_ms, contexts[context], body) for key, t, mono_ms, context, body, _ in records
            ]

    def newest_ms(self) -> int:
        """Return the newest time measured by a set clock among the last rows of every stream; 0 if there is none."""
        newest = 0
        with self.translating():
            for number in self._ids.values():
                (newest_in_stream,) = self.connection.execute(
                    "SELECT max(t) FROM (SELECT t, context FROM reading WHERE key BETWEEN ? AND ?"
                    " ORDER BY key DESC LIMIT ?) JOIN context ON context.id = context WHERE cq > 0",
                    (number << SEQ_BITS, (number + 1) << SEQ_BITS, _NEWEST_ROWS),
                ).fetchone()
                newest = max(newest, newest_in_stream or 0)
        return newest

    def _load(self) -> None:
        execute = self.connection.execute
        for name, value in execute("SELECT name, value FROM property"):
            self._properties[_text(name)] = _text(value)
        for number, epoch, boot_id, clock_quality, meta_hash in execute("SELECT id, ep, bid, cq, mh FROM context"):
            context = Context(_text(epoch), _text(boot_id), int(clock_quality), _text(meta_hash))
            self._add_context(number, context)
        for number, name, *columns in execute("SELECT id, name, next, epochs, settled, gone FROM stream"):
            self._ids[_text(name)] = number
            self.accounts[name] = parse_account(int(columns[0]), *map(_text, columns[1:]))

    def _add_context(self, number: int, context: Context) -> None:
        self._contexts[context] = number
        self._contexts_by_id[number] = context

    def _roll_back(self, properties: dict[str, str], contexts: set[int], ids: dict[str, int]) -> None:
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


def _text(value: object) -> str:
    """Return a text of the file; in a damaged page, anything may stand in its place. Raises :class:`TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
