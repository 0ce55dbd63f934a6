"""The key and the checksum of a row in the store's file. No I/O and no large imports: the rescue's child process uses
it, too."""

import struct
import zlib

SEQ_BITS = 44
# A row's key is one integer, stream << 44 | seq: 2^19 streams of 2^44 rows (27 years at 20,000 rows a second).
SEQ_MASK = (1 << SEQ_BITS) - 1

_ROW = struct.Struct(">qqqq")


def row_check(key: int, t: int, mono_ms: int, context: int, body: bytes) -> int:
    """Return the checksum of a row. Raises :class:`ValueError` or :class:`TypeError` if a damaged page has something
    else in its place."""
    try:
        head = _ROW.pack(key, t, mono_ms, context)
    except struct.error as error:
        raise ValueError(error) from error
    return zlib.crc32(body, zlib.crc32(head))
