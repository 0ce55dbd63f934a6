"""Opens the store's file: its tables, its pragmas, and its schema versions."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agent.store.io.errors import StoreBroken, StoreNewer, as_store_error

SCHEMA_VERSION = 2
UNCHECKED_KEY = "unchecked"
"""The property of a store that was migrated: its older rows have no checksum."""
_NEWEST_IMAGINABLE = 1000
"""A schema version above this is damage, not a newer release."""
MEMORY = Path(":memory:")
PAGE_BYTES = 1024
# A small page: a typical commit changes few rows, and an SD card pays for every page written.

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


@dataclass(frozen=True, slots=True)
class FileSize:
    """How large the file may become. ``limit_pages``: its own pages; ``wal_pages``: those of its log, which may
    temporarily grow to four times as many."""

    limit_pages: int
    wal_pages: int

    @classmethod
    def within(cls, max_bytes: int, path: Path) -> "FileSize":
        """Return the sizes that keep all files together within ``max_bytes``; a database in memory has no log."""
        wal_pages = min(1000, max(32, max_bytes // (16 * PAGE_BYTES)))
        return cls(max_bytes // PAGE_BYTES - (0 if path == MEMORY else 4 * wal_pages), wal_pages)

    @property
    def wal_bytes(self) -> int:
        """The usual size of the log."""
        return self.wal_pages * (PAGE_BYTES + 24) + 32


def open_file(path: Path, *, read_only: bool) -> tuple[sqlite3.Connection, int]:
    """Open the file; return the connection and the file's schema version: an older one only if the file is read-only.

    Raises a subclass of :class:`~agent.store.io.errors.StoreError`.
    """
    words = f"file:{_quoted(path)}?mode=ro" if read_only else str(path)
    if read_only and not path.with_name(path.name + "-wal").exists():
        words += "&immutable=1"  # no log exists, and none can be created there
    try:
        connection = sqlite3.connect(words, isolation_level=None, timeout=0.5, uri=read_only)
    except sqlite3.Error as error:
        raise as_store_error(error, path) from error
    try:
        version = _prepare_for_reading(connection) if read_only else _prepare(connection)
    except sqlite3.Error as error:
        connection.close()
        raise as_store_error(error, path) from error
    if version > SCHEMA_VERSION or version < 0:
        connection.close()
        imaginable = 0 < version < _NEWEST_IMAGINABLE
        raise StoreNewer(str(path)) if imaginable else StoreBroken(f"{path}: schema {version}")
    return connection, version if read_only else SCHEMA_VERSION


def _prepare_for_reading(connection: sqlite3.Connection) -> int:
    connection.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-512; PRAGMA query_only=1;")
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _prepare(connection: sqlite3.Connection) -> int:
    """Configure the connection and create the tables of a new file; return the schema version found."""
    # EXCLUSIVE: nobody else may write, and the WAL index is kept in memory instead of a third file.
    connection.executescript(
        f"PRAGMA page_size={PAGE_BYTES}; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=FULL; PRAGMA cache_size=-512; PRAGMA temp_store=MEMORY;"
        "PRAGMA journal_size_limit=1048576;"
    )
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = _SCHEMA if version == 0 else ""
    if version == 1:
        tables = "ALTER TABLE reading ADD COLUMN crc INTEGER;"
        tables += f"INSERT OR REPLACE INTO property VALUES ('{UNCHECKED_KEY}', '1');"
    if tables:
        tables += f" PRAGMA user_version={SCHEMA_VERSION};"
    connection.executescript(f"BEGIN IMMEDIATE; {tables} COMMIT")
    return int(version)


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
