"""Reads the tables of a damaged store page by page, as far as possible.

The tables are those of :mod:`agent.store.io.database_schema`. Every row carries its own checksum, so a row found in an
unreferenced page is as good as any other. The rescue's child process uses this module: no large imports.
"""

import struct
from collections.abc import Iterator

from agent.store.format.row_key import SEQ_BITS, row_check
from agent.store.format.sqlite_records import (
    INDEX_INNER,
    INDEX_LEAF,
    TABLE_INNER,
    TABLE_LEAF,
    Record,
    Unreadable,
    cells,
    children,
    kind_of,
    record,
)
from agent.store.io.rescue.sqlite_pages import Pages

_ROOTS = {"property": 2, "stream": 3, "stream_names": 4, "context": 5, "description": 6, "reading": 7}
"""The root pages of the tables of a new store, used if the schema cannot be read."""


class DamagedTables:
    """The tables of a store, as far as they are readable."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._roots = dict(_ROOTS)
        self._holes = 0
        names = {"sqlite_autoindex_stream_1": "stream_names"}
        for _, columns in self._walk(1, self._none_seen()):
            if len(columns) == 5 and isinstance(columns[3], int):
                name = names.get(str(columns[1]), str(columns[1]))
                if name in _ROOTS:
                    self._roots[name] = columns[3]
        self._holes = 0  # without the schema, the tables are where a new store has them

    def trusted(self) -> bool:
        """Return whether all pages of the accounts and their index were readable."""
        return not self._holes

    def table(self, name: str, seen: bytearray | None = None) -> Iterator[Record]:
        """Yield the records of a table found through its tree. ``seen``: the pages read are marked here."""
        return self._walk(self._roots[name], self._none_seen() if seen is None else seen)

    def properties(self) -> dict[str, str]:
        """Return the store's properties."""
        return {
            columns[0]: columns[1]
            for _, columns in self.table("property")
            if len(columns) == 2 and all(isinstance(column, str) for column in columns)
        }

    def descriptions(self) -> dict[str, bytes]:
        """Return the descriptions, by ``mh``."""
        return {
            columns[0]: columns[1]
            for _, columns in self.table("description")
            if len(columns) == 2 and isinstance(columns[0], str) and isinstance(columns[1], bytes)
        }

    def streams(self) -> dict[str, tuple[int, str, str, str]]:
        """Return by name: the next number; epochs, settled and gone as stored."""
        return {
            columns[1]: (columns[2], columns[3], columns[4], columns[5])
            for key, columns in self.table("stream")
            if len(columns) == 6
            and isinstance(columns[2], int)
            and key > 0
            and all(isinstance(column, str) for column in (columns[1], *columns[3:]))
        }

    def stream_names(self) -> dict[int, str]:
        """Return the streams' names by id: from the table, and from its index where the table has a gap."""
        names = {
            columns[1]: columns[0]
            for _, columns in self.table("stream_names")
            if len(columns) == 2 and isinstance(columns[0], str) and isinstance(columns[1], int)
        }
        names |= {
            key: columns[1]
            for key, columns in self.table("stream")
            if len(columns) == 6 and isinstance(columns[1], str)
        }
        return names

    def contexts(self) -> dict[int, tuple[str, str, int, str]]:
        """Return epoch, boot, clock quality and description by id."""
        return {
            key: (columns[1], columns[2], columns[3], columns[4])
            for key, columns in self.table("context")
            if len(columns) == 5
            and isinstance(columns[3], int)
            and all(isinstance(columns[at], str) for at in (1, 2, 4))
        }

    def rows(self) -> Iterator[tuple[int, int, int, int, bytes]]:
        """Yield all intact rows: key, context, time, monotonic time, body. Rows found through the tree come first, then
        those of unreferenced pages; some of the latter may be repeated."""
        seen = self._none_seen()
        for entry in self.table("reading", seen):
            yield from _row(entry)
        for number in range(1, self._pages.count + 1):
            if not seen[number]:
                for entry in self._leaf(number):
                    yield from _row(entry)

    def _none_seen(self) -> bytearray:
        return bytearray(self._pages.count + 1)

    def _walk(self, root: int, seen: bytearray) -> Iterator[Record]:
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if not 1 <= number < len(seen) or seen[number]:
                continue
            seen[number] = 1
            try:
                page = self._pages.page(number)
                kind = kind_of(page, number)
            except (Unreadable, IndexError):
                self._holes += 1
                continue
            if kind in (TABLE_INNER, INDEX_INNER):
                waiting.extend(reversed(children(page, number)))
            elif kind not in (TABLE_LEAF, INDEX_LEAF):
                self._holes += 1
            if kind != TABLE_INNER:
                yield from self._records(page, number, kind)

    def _leaf(self, number: int) -> Iterator[Record]:
        try:
            page = self._pages.page(number)
        except Unreadable:
            return
        if kind_of(page, number) == TABLE_LEAF:
            yield from self._records(page, number, TABLE_LEAF)

    def _records(self, page: bytes, number: int, kind: int) -> Iterator[Record]:
        for at in cells(page, number):
            try:
                yield record(page, at, kind, self._pages.page)
            except (Unreadable, IndexError, struct.error, ValueError, OverflowError):
                self._holes += 1


def _row(entry: Record) -> Iterator[tuple[int, int, int, int, bytes]]:
    key, columns = entry
    if key < 1 << SEQ_BITS or len(columns) not in (5, 6):
        return
    _, context, t, mono_ms, body, *check = columns
    if not (all(isinstance(number, int) for number in (context, t, mono_ms)) and isinstance(body, bytes)):
        return
    # Rows of the first schema have no checksum, and no column for it.
    if check and check[0] != row_check(key, t, mono_ms, context, body):
        return
    yield key, context, t, mono_ms, body
