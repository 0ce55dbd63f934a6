"""Decodes one page of an SQLite file, even if it is damaged. No I/O.

Format: https://www.sqlite.org/fileformat2.html.
"""

from collections.abc import Callable
from typing import Any

TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER = 0x0D, 0x05, 0x0A, 0x02
_INT_SIZES = (0, 1, 2, 3, 4, 6, 8)
_MAX_RECORD_BYTES = 1 << 24

Record = tuple[int, list[Any]]
"""The key (0 in an index) and the columns."""


class Unreadable(Exception):
    """This page, cell or record is invalid."""


def kind_of(page: bytes, number: int) -> int:
    """Return the kind of a page. Raises :class:`IndexError`."""
    return page[_head(number)]


def cells(page: bytes, number: int) -> list[int]:
    """Return the offsets of the cells of a page; invalid ones are left out."""
    head = _head(number)
    count = int.from_bytes(page[head + 3 : head + 5], "big")
    first = head + (12 if page[head] in (TABLE_INNER, INDEX_INNER) else 8)
    places = [int.from_bytes(page[at : at + 2], "big") for at in range(first, min(first + 2 * count, len(page) - 1), 2)]
    return [at for at in places if first <= at < len(page)]


def children(page: bytes, number: int) -> list[int]:
    """Return the child pages of an inner page, in order."""
    head = _head(number)
    pointers = [int.from_bytes(page[at : at + 4], "big") for at in cells(page, number)]
    return [*pointers, int.from_bytes(page[head + 8 : head + 12], "big")]


def record(page: bytes, at: int, kind: int, read_page: Callable[[int], bytes]) -> Record:
    """Decode the record of the cell at ``at``. ``read_page``: reads its overflow pages. Raises :class:`Unreadable`,
    :class:`IndexError` or :class:`ValueError`."""
    if kind not in (TABLE_LEAF, INDEX_LEAF, INDEX_INNER):
        raise Unreadable
    size, at = _varint(page, at + 4 if kind == INDEX_INNER else at)
    key, at = _varint(page, at) if kind == TABLE_LEAF else (0, at)
    usable = len(page)
    max_local = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    if not 0 < size < _MAX_RECORD_BYTES:
        raise Unreadable
    if size <= max_local:
        return key, _columns(page[at : at + size])
    min_local = (usable - 12) * 32 // 255 - 23
    local = min_local + (size - min_local) % (usable - 4)
    local = min_local if local > max_local else local
    payload = bytearray(page[at : at + local])
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while len(payload) < size:
        more = read_page(following)
        payload += more[4 : 4 + size - len(payload)]
        following = int.from_bytes(more[:4], "big")
    return key, _columns(bytes(payload))


def _head(number: int) -> int:
    """Return where the header of a page begins: on the first page, it follows the file header."""
    return 100 if number == 1 else 0


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
    """Decode the columns of a record."""
    size, at = _varint(payload, 0)
    kinds = []
    while at < size:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    columns: list[Any] = []
    for kind in kinds:
        column, at = _column(payload, at, kind)
        columns.append(column)
    return columns


def _column(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind < 0 or kind in (7, 10, 11):
        raise Unreadable
    if kind in (8, 9):
        return kind - 8, at
    length = _INT_SIZES[kind] if kind < 7 else (kind - 12) // 2
    raw = payload[at : at + length]
    if len(raw) < length:
        raise Unreadable
    if kind == 0:
        return None, at
    if kind < 7:
        return int.from_bytes(raw, "big", signed=True), at + length
    return (raw.decode() if kind % 2 else raw), at + length
