"""``kind = "serial_frame"``: a device whose frames are a table of bytes."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Decoder, Measurement, Options, Value
from drivers.sdk.framing import Check, FrameDecoder, FrameError, FrameFormat, LengthField
from drivers.sdk.profile_rules import Rule, judge
from drivers.sdk.profile_table import Table

TYPES = {
    "u8": "B",
    "i8": "b",
    **{
        f"{name}{bits}{order}": sign + letter
        for name, letters in (("u", "HIQ"), ("i", "hiq"))
        for bits, letter in zip((16, 32, 64), letters, strict=True)
        for order, sign in (("le", "<"), ("be", ">"))
    },
    "f32le": "<f",
    "f32be": ">f",
}
"""The types of a field, and the struct format of each."""

MOST_BYTES = 1024
"""The longest frame that a profile may speak of."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field's place in the frame. value = raw * scale / divisor + offset, within ``clip`` where the maker
    says so; with ``words``, the word for the number."""

    name: str
    at: int
    format: str
    scale: float = 1
    offset: float = 0
    words: Mapping[int, Value] | None = None
    divisor: float = 1
    clip: tuple[float, float] | None = None

    @property
    def end(self) -> int:
        return self.at + struct.calcsize(self.format)


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """A whole frame profile: what the decoder and the simulator work from."""

    frame: FrameFormat
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    def decoder(self) -> Callable[[Options], Decoder]:
        """A factory of decoders; everything that can be prepared is prepared here, once."""
        read = measuring(self.columns, self.rules)
        frame = self.frame
        return lambda options: FrameDecoder(frame, read)


def measuring(columns: tuple[Column, ...], rules: tuple[Rule, ...]) -> Callable[[bytes, float], Measurement]:
    """What makes a measurement of a proven frame; it raises FrameError for a number that has no word."""
    takers = tuple((column.name, taker(column)) for column in columns)

    def read(frame: bytes, at_s: float) -> Measurement:
        return Measurement({name: take(frame) for name, take in takers})

    def read_and_judge(frame: bytes, at_s: float) -> Measurement:
        values = {name: take(frame) for name, take in takers}
        return Measurement(values, judge(rules, values, dict(values), frame, at_s))

    return read_and_judge if rules else read


def taker(column: Column) -> Callable[[bytes], Value]:
    """How one value is taken from a frame. Dividing by 10 is exact where multiplying by 0.1 is not."""
    unpack, at, scale, offset = (
        struct.Struct(column.format).unpack_from,
        column.at,
        column.scale,
        column.offset,
    )
    if column.clip is not None:
        low, high = column.clip
        fraction = column.divisor
        return lambda frame: min(max(unpack(frame, at)[0] * scale / fraction + offset, low), high)
    if column.divisor != 1:
        fraction = column.divisor
        return lambda frame: unpack(frame, at)[0] * scale / fraction + offset
    if column.words is not None:
        words = column.words

        def word(frame: bytes) -> Value:
            raw = unpack(frame, at)[0]
            if raw not in words:
                raise FrameError("format")
            return words[raw]

        return word
    if scale == 1 and offset == 0:
        return lambda frame: unpack(frame, at)[0]
    divisor = round(1 / scale) if 0 < scale < 1 else 0
    if divisor and abs(divisor * scale - 1) < 1e-12:
        if offset == 0:
            return lambda frame: unpack(frame, at)[0] / divisor
        return lambda frame: unpack(frame, at)[0] / divisor + offset
    return lambda frame: unpack(frame, at)[0] * scale + offset


def read_column(name: str, table: Table) -> Column:
    """A field's place, from its own table."""
    return read_conversion(table, Column(name, table.integer("at"), TYPES[table.one_of("type", TYPES)]))


def read_conversion(table: Table, column: Column) -> Column:
    """The column with what its table says about turning the number into a value."""
    words = _read_words(table.table("map")) if "map" in table else None
    clip = (table.number("min"), table.number("max")) if table.flag("clip") else None
    scale, offset, divisor = table.number("scale", 1), table.number("offset", 0), table.positive("divisor", 1)
    if scale == 0:
        table.wrong("scale", "{value} is not {wanted}", value=0, wanted="a number other than 0")
    return replace(column, scale=scale, offset=offset, words=words, divisor=divisor, clip=clip)


def own_step(column: Column) -> float | None:
    """The step of a column's values, where its numbers are whole."""
    fraction = column.format[-1] in "fd" or column.words is not None
    return None if fraction else column.scale / column.divisor


def _read_words(table: Table) -> dict[int, Value]:
    words: dict[int, Value] = {}
    for key in table.keys():  # noqa: SIM118
        value = table.raw(key)
        if key.isdecimal() and isinstance(value, (str, bool, int, float)):
            words[int(key)] = value
        else:
            table.wrong(key, "a map assigns words to numbers, as in {example}", example='{ 0 = "off" }')
    return words


def read_frame(table: Table, columns: tuple[Column, ...]) -> FrameFormat:
    """The ``frame`` table; notes fields and checks that do not fit into it."""
    sync = table.hexadecimal("sync")
    if not sync:
        table.wrong("sync", "a frame needs at least one fixed byte to be recognised by")
    needed = max((column.end for column in columns), default=1)
    length: int | LengthField
    if isinstance(table.raw("length"), dict):
        length = _read_length(table.table("length"), max(needed, len(sync)))
        shortest = length.least
    else:
        length = shortest = table.integer("length")
    if not len(sync) <= shortest <= MOST_BYTES:
        table.wrong(
            "length",
            "{value} is not between {least} and {most}",
            value=shortest,
            least=len(sync),
            most=MOST_BYTES,
        )
    for column in columns:
        if column.at < 0 or column.end > shortest:
            table.wrong("length", "the field {field} does not fit into {size} bytes", field=column.name, size=shortest)
    frame = FrameFormat(sync, length, table.hexadecimal("tail", ""), _read_check(table, shortest))
    table.done()
    return frame


def _read_length(table: Table, needed: int) -> LengthField:
    at, kind, add = table.integer("at"), TYPES[table.one_of("type", TYPES)], table.integer("add", 0)
    least = table.integer("min", max(needed, at + struct.calcsize(kind)))
    most = table.integer("max", MOST_BYTES)
    if "f" in kind:
        table.wrong("type", "a length must be an integer")
    if not at + struct.calcsize(kind) <= least <= most <= MOST_BYTES:
        table.wrong("min", "{value} is not between {least} and {most}", value=least, least=needed, most=most)
    table.done()
    return LengthField(at, kind, add, least, most)


def _read_check(frame: Table, shortest: int) -> Check | None:
    if "check" not in frame:
        return None
    table = frame.table("check")
    checksum = CHECKSUMS[table.one_of("sum", CHECKSUMS)]
    end = table.integer("to") if "to" in table else None
    check = Check(checksum, table.integer("from", 0), end, table.integer("at"))
    for key, place in (("from", check.start), ("to", end or 0), ("at", check.at)):
        size = checksum.size if key == "at" else 0
        if not -shortest <= place <= shortest - size or (key == "at" and -size < place < 0):
            table.wrong(key, "{value} is outside the frame of {size} bytes", value=place, size=shortest)
    table.done()
    return check
