"""A field's place in bytes, and the way from its number to its value."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from drivers.sdk.contract import Measurement, Value
from drivers.sdk.framing import FrameError
from drivers.sdk.messages import _
from drivers.sdk.profiles.fields import MAX_WORDS, FieldTable, check_field
from drivers.sdk.profiles.rules import Rule, judge
from drivers.sdk.tables.limits import Limit, Number, Positive, Scalar
from drivers.sdk.tables.problem import Report

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
"""The types of a field of bytes, and the struct format of each."""

MAX_FRAME_BYTES = 1024
"""The longest frame of a profile."""

Type = Annotated[str, Limit(choices=tuple(TYPES))]
Position = Annotated[int, Limit(min=0, max=MAX_FRAME_BYTES - 1)]
RawNumber = Annotated[str, Limit(pattern="[0-9]{1,20}", means='a whole number, as in { 0 = "off" }')]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFieldTable(FieldTable):
    """``fields.NAME`` of a kind that sends numbers as bytes."""

    scale: Number = 1
    divisor: Positive = 1
    offset: Number = 0
    map: Annotated[Mapping[RawNumber, Scalar], Limit(max=MAX_WORDS)] | None = None
    clip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesFieldTable(NumberFieldTable):
    """``fields.NAME`` of a kind whose frames are bytes."""

    at: Position
    type: Type


@dataclass(frozen=True, slots=True)
class Column:
    """A field's place in the frame. value = raw * scale / divisor + offset, cropped to ``clip``.

    ``words``: the value of each number instead.
    """

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

    @property
    def step(self) -> float | None:
        """The step of the values; None where the numbers are not whole."""
        fraction = self.format[-1] in "fd" or self.words is not None
        return None if fraction else self.scale / self.divisor


def check_number(table: NumberFieldTable, path: str, report: Report) -> None:
    """Report what contradicts itself in a field. ``path``: of the field."""
    check_field(table, path, report)
    if table.scale == 0:
        message = _("{value} is out of range").format(value=0)
        report.error(f"{path}.scale", "range", message, _("a number other than 0"))
    for key, bound in (("min", table.min), ("max", table.max)):
        if table.clip and bound is None and report.sound(f"{path}.{key}"):
            report.error(f"{path}.{key}", "missing", _("missing key"), _("clip needs min and max"))


def check_fit(fields: Mapping[str, BytesFieldTable], size: int, path: str, length: str, report: Report) -> None:
    """Report fields that end behind the last byte. ``path``: of the fields. ``length``: of the key with the size."""
    columns = [build_column(name, table) for name, table in fields.items() if report.sound(f"{path}.{name}")]
    outside = [column.name for column in columns if column.end > size]
    if outside:
        # If most fields fit, their places are wrong; otherwise the length is.
        where = f"{path}.{outside[0]}.at" if len(outside) == 1 < len(fields) else length
        message = _("does not fit into {size} bytes: {fields}").format(size=size, fields=", ".join(outside[:3]))
        report.error(where, "range", message)


def build_column(name: str, table: BytesFieldTable) -> Column:
    """Return the column of a field without a problem."""
    return converted(Column(name, table.at, TYPES[table.type]), table)


def converted(column: Column, table: NumberFieldTable) -> Column:
    """Return the column with the conversion of its table."""
    words = None if table.map is None else {int(number): word for number, word in table.map.items()}
    clip = None
    if table.clip and table.min is not None and table.max is not None:
        clip = table.min, table.max
    return Column(column.name, column.at, column.format, table.scale, table.offset, words, table.divisor, clip)


def measurement_reader(columns: tuple[Column, ...], rules: tuple[Rule, ...]) -> Callable[[bytes, float], Measurement]:
    """Return what makes a measurement of a checked frame. It raises FrameError for a number that has no word."""
    extractors = tuple((column.name, extractor(column)) for column in columns)

    def read(frame: bytes, at_s: float) -> Measurement:
        return Measurement({name: extract(frame) for name, extract in extractors})

    def read_and_judge(frame: bytes, at_s: float) -> Measurement:
        values = {name: extract(frame) for name, extract in extractors}
        return Measurement(values, judge(rules, values, dict(values), frame, at_s))

    return read_and_judge if rules else read


def extractor(column: Column) -> Callable[[bytes], Value]:
    """Return what extracts a value from a frame. Dividing by 10 is exact where multiplying by 0.1 is not."""
    unpack, at, scale, offset = struct.Struct(column.format).unpack_from, column.at, column.scale, column.offset
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
