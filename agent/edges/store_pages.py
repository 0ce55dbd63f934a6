"""Reads what is left of a damaged store, page by page, without SQLite: it refuses a file for one bad page.

As a program of its own (the agent's memory is bounded, and a large file takes long): standard input is
``{"path": …, "wal": …, "names": {stream id: name}}``; standard output is lines of JSON: rows in groups, the last line
empty. Imports nothing of the agent.

The format is that of https://www.sqlite.org/fileformat2.html; the tables are those of :mod:`agent.edges.database`.
Every row carries its own checksum, so a row that is found in a page that nothing leads to is as good as any other.
"""

import base64
import json
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SEQ_BITS = 44
_PAGE_BYTES = 1024
_ROOTS = {"property": 2, "stream": 3, "stream_names": 4, "context": 5, "description": 6, "reading": 7}
"""Where a new store has its tables; used where the schema cannot be read."""
_TABLE_LEAF, _TABLE_INNER, _INDEX_LEAF, _INDEX_INNER = 0x0D, 0x05, 0x0A, 0x02
_INT_SIZES = (0, 1, 2, 3, 4, 6, 8)
_LINE_BYTES = 1 << 16
_ROW = struct.Struct(">qqqq")

Record = tuple[int, list[Any]]
"""The key (0 in an index) and the columns."""


class Unreadable(Exception):
    """This page, cell or record makes no sense."""


def row_check(key: int, t: int, mono_ms: int, context: int, body: bytes) -> int:
    """The checksum of a row."""
    return zlib.crc32(body, zlib.crc32(_ROW.pack(key, t, mono_ms, context)))


class Pages:
    """The pages of a store's file, with the whole transactions of its write-ahead log laid over them."""

    def __init__(self, path: Path, wal: Path) -> None:
        self._file = path.open("rb")
        head = self._file.read(100)
        size = int.from_bytes(head[16:18], "big")
        known = head[:16] == b"SQLite format 3\0" and 512 <= size <= 32768 and size & (size - 1) == 0
        self.size = size if known else _PAGE_BYTES
        self.count = self._file.seek(0, 2) // self.size
        self._log = wal.open("rb") if wal.exists() else None
        self._logged: dict[int, int] = {}
        if self._log is not None:
            self._read_log()

    def close(self) -> None:
        """Let go of the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()

    def page(self, number: int) -> bytes:
        """A page. Raises :class:`Unreadable`."""
        if not 1 <= number <= self.count:
            raise Unreadable
        offset = self._logged.get(number)
        source, at = (self._file, (number - 1) * self.size) if offset is None else (self._log, offset)
        assert source is not None
        try:
            source.seek(at)
            content = source.read(self.size)
        except OSError as error:
            raise Unreadable from error
        if len(content) < self.size:
            raise Unreadable
        return content

    def _read_log(self) -> None:
        """Note where the newest committed version of each page lies in the log."""
        assert self._log is not None
        try:
            head = self._log.read(32)
            if len(head) < 32 or head[:3] != b"\x37\x7f\x06" or int.from_bytes(head[8:12], "big") != self.size:
                return
            order = ">" if head[3] & 1 else "<"
            sums = _log_sums(head[:24], (0, 0), order)
            pending: dict[int, int] = {}
            while True:
                frame = self._log.read(24)
                offset = self._log.tell()
                content = self._log.read(self.size)
                if len(content) < self.size or frame[8:16] != head[16:24]:
                    return
                sums = _log_sums(content, _log_sums(frame[:8], sums, order), order)
                number, commit, *_, first, second = struct.unpack(">6I", frame)
                if sums != (first, second):
                    return
                pending[number] = offset
                if commit:
                    self._logged.update(pending)
                    pending.clear()
                    self.count = max(self.count, commit)
        except OSError:
            return


def _log_sums(content: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & 0xFFFFFFFF
        two = (two + words[at + 1] + one) & 0xFFFFFFFF
    return one, two


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = content[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    value = value << 8 | content[at + 8]
    return (value - (1 << 64) if value >> 63 else value), at + 9


def _columns(payload: bytes) -> list[Any]:
    """The columns of a record."""
    size, at = _varint(payload, 0)
    kinds = []
    while at < size:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    columns: list[Any] = []
    for kind in kinds:
        if kind < 0 or kind in (7, 10, 11):
            raise Unreadable
        if kind in (8, 9):
            columns.append(kind - 8)
            continue
        length = _INT_SIZES[kind] if kind < 7 else (kind - 12) // 2
        raw = payload[at : at + length]
        if len(raw) < length:
            raise Unreadable
        at += length
        if kind == 0:
            columns.append(None)
        elif kind < 7:
            columns.append(int.from_bytes(raw, "big", signed=True))
        else:
            columns.append(raw.decode() if kind % 2 else raw)
    return columns


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
            if len(columns) == 2 and all(isinstance(one, str) for one in columns)
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
            if len(columns) == 6 and isinstance(columns[2], int) and key > 0
            and all(isinstance(one, str) for one in (columns[1], *columns[3:]))
        }  # fmt: skip

    def stream_names(self) -> dict[int, str]:
        """The names of streams by their id: from the table, and from its index where the table has a hole."""
        found = {
            columns[1]: columns[0]
            for _, columns in self.table("stream_names")
            if len(columns) == 2 and isinstance(columns[0], str) and isinstance(columns[1], int)
        }
        found |= {key: columns[1] for key, columns in self.table("stream")
                  if len(columns) == 6 and isinstance(columns[1], str)}  # fmt: skip
        return found

    def contexts(self) -> dict[int, tuple[str, str, int, str]]:
        """Epoch, boot, clock quality and description by their id."""
        return {
            key: (columns[1], columns[2], columns[3], columns[4])
            for key, columns in self.table("context")
            if len(columns) == 5 and isinstance(columns[3], int)
            and all(isinstance(columns[at], str) for at in (1, 2, 4))
        }  # fmt: skip

    def rows(self) -> Iterator[tuple[int, int, int, int, bytes]]:
        """All rows that are whole: key, context, time, monotonic time, body. First those that the tree leads to, then
        those in pages that nothing leads to any more; some of these may come twice."""
        seen = self._none_seen()
        for record in self.table("reading", seen):
            yield from _row(record)
        for number in range(1, self._pages.count + 1):
            if not seen[number]:
                for record in self._leaf(number):
                    yield from _row(record)

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
                kind = page[100 if number == 1 else 0]
            except (Unreadable, IndexError):
                self._holes += 1
                continue
            if kind in (_TABLE_INNER, _INDEX_INNER):
                waiting.extend(reversed(_children(page, number)))
            elif kind not in (_TABLE_LEAF, _INDEX_LEAF):
                self._holes += 1
            if kind != _TABLE_INNER:
                yield from self._records(page, number, kind)

    def _leaf(self, number: int) -> Iterator[Record]:
        try:
            page = self._pages.page(number)
        except Unreadable:
            return
        if page[100 if number == 1 else 0] == _TABLE_LEAF:
            yield from self._records(page, number, _TABLE_LEAF)

    def _records(self, page: bytes, number: int, kind: int) -> Iterator[Record]:
        for at in _cells(page, number):
            try:
                yield self._record(page, at, kind)
            except (Unreadable, IndexError, struct.error, ValueError, OverflowError):
                self._holes += 1

    def _record(self, page: bytes, at: int, kind: int) -> Record:
        if kind not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER):
            raise Unreadable
        size, at = _varint(page, at + 4 if kind == _INDEX_INNER else at)
        key, at = _varint(page, at) if kind == _TABLE_LEAF else (0, at)
        usable = self._pages.size
        most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if not 0 < size < 1 << 24:
            raise Unreadable
        if size <= most:
            return key, _columns(page[at : at + size])
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = least if local > most else local
        payload = bytearray(page[at : at + local])
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while len(payload) < size:
            more = self._pages.page(following)
            payload += more[4 : 4 + size - len(payload)]
            following = int.from_bytes(more[:4], "big")
        return key, _columns(bytes(payload))


def _cells(page: bytes, number: int) -> list[int]:
    """Where the cells of a page lie, as far as that makes sense."""
    head = 100 if number == 1 else 0
    count = int.from_bytes(page[head + 3 : head + 5], "big")
    first = head + (12 if page[head] in (_TABLE_INNER, _INDEX_INNER) else 8)
    places = [int.from_bytes(page[at : at + 2], "big") for at in range(first, min(first + 2 * count, len(page) - 1), 2)]
    return [at for at in places if first <= at < len(page)]


def _children(page: bytes, number: int) -> list[int]:
    head = 100 if number == 1 else 0
    found = [int.from_bytes(page[at : at + 4], "big") for at in _cells(page, number)]
    return [*found, int.from_bytes(page[head + 8 : head + 12], "big")]


def _row(record: Record) -> Iterator[tuple[int, int, int, int, bytes]]:
    key, columns = record
    if key < 1 << SEQ_BITS or len(columns) not in (5, 6):
        return
    _, context, t, mono_ms, body, *check = columns
    if not (all(isinstance(one, int) for one in (context, t, mono_ms)) and isinstance(body, bytes)):
        return
    # A store of the first schema has no checksums in its older rows.
    if check and check[0] is not None and check[0] != row_check(key, t, mono_ms, context, body):
        return
    yield key, context, t, mono_ms, body


def told(path: Path, wal: Path, names: dict[int, str]) -> Iterator[list[list[Any]]]:
    """Every whole row that is not known to be settled, in groups: stream, number, context (``None`` where it is lost),
    time, monotonic time, body in base64."""
    pages = Pages(path, wal)
    try:
        remains = Remains(pages)
        names = remains.stream_names() | names
        contexts = remains.contexts()
        settled = {name: _pairs(one[2]) for name, one in remains.streams().items()}
        group: list[list[Any]] = []
        size = 0
        for key, context, t, mono_ms, body in remains.rows():
            stream, number = names.get(key >> SEQ_BITS), key & ((1 << SEQ_BITS) - 1)
            if stream is None or any(start <= number < stop for start, stop in settled.get(stream, ())):
                continue
            group.append([stream, number, contexts.get(context), t, mono_ms, base64.b64encode(body).decode()])
            size += len(body) + 100
            if size > _LINE_BYTES:
                yield group
                group, size = [], 0
        yield group
    finally:
        pages.close()


def _pairs(text: str) -> list[tuple[int, int]]:
    try:
        return [(int(start), int(stop)) for start, _, stop in (part.partition("-") for part in text.split())]
    except ValueError:
        return []


def main() -> int:
    """Answer one question."""
    asked = json.load(sys.stdin)
    names = {int(number): name for number, name in asked["names"].items()}
    lines: Iterable[list[list[Any]]] = told(Path(asked["path"]), Path(asked["wal"]), names)
    for group in lines:
        if group:
            print(json.dumps(group, separators=(",", ":")), flush=True)
    print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
