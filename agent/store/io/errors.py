"""Errors of the store's file, by how to respond to them."""

import sqlite3

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DAMAGED_EXTENDED = (
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
)
"""An unreadable page; a number that was assigned but exists already."""


class StoreError(Exception):
    """The store's file cannot be used now; the text is the reason. Retry later."""


class StoreBusy(StoreError):
    """Another process holds the store's file."""


class StoreBroken(StoreError):
    """The file is damaged or not a store. Set it aside."""


class StoreNewer(StoreError):
    """A newer release wrote this store. Leave it alone."""


class StoreFull(StoreError):
    """The disk has no space for the rows; they are not durable. Make room."""


def as_store_error(error: Exception, path: object) -> StoreError:
    """Translate an SQLite error, or an error in decoding its data, into an error of the store."""
    line = f"{path}: {error}"
    if not isinstance(error, sqlite3.Error):
        return StoreBroken(f"{path}: {error!r}")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return StoreError(line)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(str(path))
    if code & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull(line)
    # SQLITE_ERROR: our statements are correct, so a table or a column is missing.
    if code & 0xFF in _DAMAGED or code in _DAMAGED_EXTENDED or code == sqlite3.SQLITE_ERROR:
        return StoreBroken(line)
    return StoreError(line)
