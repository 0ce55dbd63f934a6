"""The tables of a damaged store, as far as they can be read, page by page.

The tables are those of :mod:`agent.store.io.database_schema`. Every row carries its own checksum, so a row found in a
page that nothing leads to is as good as any other. Used by the rescue's child: imports nothing large.
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
"""Where a new store has its tables; used where the schema cannot be read."""


class Remains:
    """The tables of a store, as far as they can be read."""

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
        """Whether the pages of the accounts and their index were all there."""
        return not self._holes

    def table(self, name: str, seen: bytearray | None = None) -> Iterator[Record]:
        """The records of a table that its tree leads to. ``seen``: marked with the pages that were read."""
        return self._walk(self._roots[name], self._none_seen() if seen is None else seen)

    def properties(self) -> dict[str, str]:
        """What the store remembered."""
        return {
            columns[0]: columns[1]
            for _, columns in self.table("property")
            if len(columns) == 2 and all(isinstance(column, str) for column in columns)
        }

    def descriptions(self) -> dict[str, bytes]:
        """The descriptions, by ``mh``."""
        return {
            columns[0]: columns[1]
            for _, columns in self.table("description")
            if len(columns) == 2 and isinstance(columns[0], str) and isinstance(columns[1], bytes)
        }

    def streams(self) -> dict[str, tuple[int, str, str, str]]:
        """By name: the next number; epochs, settled and gone as the store writes them."""
        return {
            columns[1]: (columns[2], columns[3], columns[4], columns[5])
            for key, columns in self.table("stream")
            if len(columns) == 6
            and isinstance(columns[2], int)
            and key > 0
            and all(isinstance(column, str) for column in (columns[1], *columns[3:]))
        }

    def stream_names(self) -> dict[int, str]:
        """The names of streams by their id: from the table, and from its index where the table has a hole."""
        found = {
            columns[1]: columns[0]
            for _, columns in self.table("stream_names")
            if len(columns) == 2 and isinstance(columns[0], str) and isinstance(columns[1], int)
        }
        found |= {
            key: columns[1]
            for key, columns in self.table("stream")
            if len(columns) == 6 and isinstance(columns[1], str)
        }
        return found

    def contexts(self) -> dict[int, tuple[str, str, int, str]]:
        """Epoch, boot, clock quality and description by their id."""
        return {
            key: (columns[1], columns[2], columns[3], columns[4])
            for key, columns in self.table("context")
            if len(columns) == 5
            and isinstance(columns[3], int)
            and all(isinstance(columns[at], str) for at in (1, 2, 4))
        }

    def rows(self) -> Iterator[tuple[int, int, int, int, bytes]]:
        """All rows that are whole: key, context, time, monotonic time, body. First those that the tree leads to, then
        those in pages that nothing leads to any more; some of these may come twice."""
        seen = self._none_seen()
        for found in self.table("reading", seen):
            yield from _row(found)
        for number in range(1, self._pages.count + 1):
            if not seen[number]:
                for found in self._leaf(number):
                    yield from _row(found)

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


def _row(found: Record) -> Iterator[tuple[int, int, int, int, bytes]]:
    key, columns = found
    if key < 1 << SEQ_BITS or len(columns) not in (5, 6):
        return
    _, context, t, mono_ms, body, *check = columns
    if not (all(isinstance(number, int) for number in (context, t, mono_ms)) and isinstance(body, bytes)):
        return
    # A store of the first schema has no checksums in its older rows.
    if check and check[0] is not None and check[0] != row_check(key, t, mono_ms, context, body):
        return
    yield key, context, t, mono_ms, body
