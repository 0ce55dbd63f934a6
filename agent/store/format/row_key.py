"""How a row is keyed and checked in the store's file. Pure, and imports nothing: the rescue's child uses it, too."""

import struct
import zlib

SEQ_BITS = 44
# The key of a row is stream << 44 | seq, one integer: 2^19 streams of 2^44 rows (at 20,000 a second, 27 years).
SEQ_MASK = (1 << SEQ_BITS) - 1

_ROW = struct.Struct(">qqqq")


def row_check(key: int, t: int, mono_ms: int, context: int, body: bytes) -> int:
    """The checksum of a row."""
    return zlib.crc32(body, zlib.crc32(_ROW.pack(key, t, mono_ms, context)))
