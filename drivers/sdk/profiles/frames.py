"""``kind = "serial_frame"``: a device whose frames are a table of bytes."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Decoder, FieldName, LineSettings, Options, SerialDriver
from drivers.sdk.framing import Check, FrameDecoder, FrameFormat, LengthField
from drivers.sdk.messages import _
from drivers.sdk.profiles.columns import (
    MAX_FRAME_BYTES,
    TYPES,
    BytesFieldTable,
    Column,
    Position,
    Type,
    build_column,
    check_fit,
    check_number,
    measurement_reader,
)
from drivers.sdk.profiles.fields import MAX_FIELDS, MAX_RULES, as_tuple, declaration
from drivers.sdk.profiles.kind import Device, DeviceKind, Seconds, Timeout
from drivers.sdk.profiles.rules import BytesRuleTable, Rule, build_rules, check_rules
from drivers.sdk.tables.limits import Hex, Limit
from drivers.sdk.tables.problem import Report, join

ChecksumName = Annotated[str, Limit(choices=tuple(CHECKSUMS))]
_Size = Annotated[int, Limit(min=1, max=MAX_FRAME_BYTES)]
_Place = Annotated[int, Limit(min=-MAX_FRAME_BYTES, max=MAX_FRAME_BYTES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthTable:
    """``frame.length`` of a frame that contains its own length."""

    at: Position
    type: Type
    add: _Place = 0
    min: _Size | None = None
    max: _Size = MAX_FRAME_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTable:
    """``frame.check``."""

    sum: ChecksumName
    from_: _Place = 0
    to: _Place | None = None
    at: _Place


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTable:
    """``frame`` of a serial device."""

    sync: Hex
    length: _Size | LengthTable
    tail: Hex = ""
    check: CheckTable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialFrame:
    """The tables of the kind."""

    frame: FrameTable
    fields: Annotated[Mapping[FieldName, BytesFieldTable], Limit(max=MAX_FIELDS)]
    rule: Annotated[tuple[BytesRuleTable, ...], Limit(max=MAX_RULES)] = ()
    request: Hex | Annotated[tuple[Hex, ...], Limit(max=100)] = ()
    setup: Hex | Annotated[tuple[Hex, ...], Limit(max=100)] = ()
    timeout_s: Timeout = 1.0
    period_s: Seconds = 1.0
    line: LineSettings = field(default_factory=LineSettings)


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """What the decoder and the simulator of such a device work from."""

    frame: FrameFormat
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    def decoder(self) -> Callable[[Options], Decoder]:
        """Return a factory of decoders. Everything that can be prepared is prepared here, once."""
        read = measurement_reader(self.columns, self.rules)
        frame = self.frame
        return lambda options: FrameDecoder(frame, read)


def check(tables: SerialFrame, path: str, report: Report) -> None:
    """Report what does not fit together."""
    frame, fields = join(path, "frame"), join(path, "fields")
    for name, table in tables.fields.items():
        check_number(table, f"{fields}.{name}", report)
    check_rules(tables.rule, tables.fields, path, report)
    sync = bytes.fromhex(tables.frame.sync)
    if not sync and report.sound(f"{frame}.sync"):
        message = _("a frame needs at least one fixed byte that marks its start")
        report.error(f"{frame}.sync", "length", message, _('hexadecimal, as in "AA C0"'))
    if not report.sound(f"{frame}.sync", f"{frame}.length"):
        return
    length = tables.frame.length
    if isinstance(length, LengthTable):
        _check_length(length, len(sync), f"{frame}.length", report)
    size = _shortest(tables)
    if size < len(sync):
        hint = _("{kind} from {low} to {high}").format(kind=_("an integer"), low=len(sync), high=MAX_FRAME_BYTES)
        report.error(f"{frame}.length", "range", _("{value} is out of range").format(value=size), hint)
    else:
        check_fit(tables.fields, size, fields, f"{frame}.length", report)
    if tables.frame.check is not None and report.sound(f"{frame}.check", f"{frame}.length"):
        _check_places(tables.frame.check, size, f"{frame}.check", report)


def build(tables: SerialFrame) -> Device[FrameSpec]:
    """Return the device of tables without a problem."""
    columns = tuple(build_column(name, table) for name, table in tables.fields.items())
    fields = {column.name: declaration(tables.fields[column.name], column.step) for column in columns}
    frame = tables.frame
    check = None
    if frame.check is not None:
        check = Check(CHECKSUMS[frame.check.sum], frame.check.from_, frame.check.to, frame.check.at)
    length = frame.length if isinstance(frame.length, int) else _length_field(frame.length, _shortest(tables))
    spec = FrameSpec(
        FrameFormat(bytes.fromhex(frame.sync), length, bytes.fromhex(frame.tail), check),
        columns,
        build_rules(tables.rule),
    )
    driver = partial(
        SerialDriver,
        fields=fields,
        decoder=spec.decoder(),
        inline=True,
        period_s=tables.period_s,
        line=tables.line,
        setup=tuple(bytes.fromhex(part) for part in as_tuple(tables.setup)),
        request=b"".join(bytes.fromhex(part) for part in as_tuple(tables.request)),
        timeout_s=tables.timeout_s,
    )
    return Device(fields, spec, driver)


def _shortest(tables: SerialFrame) -> int:
    """Return how many bytes every frame has at least."""
    length = tables.frame.length
    if isinstance(length, int):
        return length
    if length.min is not None:
        return length.min
    ends = (build_column(name, table).end for name, table in tables.fields.items())
    return max(_end(length), len(bytes.fromhex(tables.frame.sync)), *ends)


def _end(length: LengthTable) -> int:
    return length.at + struct.calcsize(TYPES[length.type])


def _length_field(table: LengthTable, shortest: int) -> LengthField:
    return LengthField(table.at, TYPES[table.type], table.add, shortest, table.max)


def _check_length(table: LengthTable, sync: int, path: str, report: Report) -> None:
    if table.type.startswith("f"):
        message = _("{value} is not one of {choices}").format(value=f'"{table.type}"', choices=_("the integer types"))
        report.error(f"{path}.type", "choice", message)
        return
    low = max(_end(table), sync)
    if table.min is not None and not low <= table.min <= table.max:
        hint = _("{kind} from {low} to {high}").format(kind=_("an integer"), low=low, high=table.max)
        report.error(f"{path}.min", "range", _("{value} is out of range").format(value=table.min), hint)


def _check_places(table: CheckTable, size: int, path: str, report: Report) -> None:
    width = CHECKSUMS[table.sum].size
    for key, place in (("from", table.from_), ("to", table.to or 0), ("at", table.at)):
        room = width if key == "at" else 0
        if not -size <= place <= size - room or (key == "at" and -width < place < 0):
            message = _("{value} is outside of the frame of {size} bytes").format(value=place, size=size)
            report.error(f"{path}.{key}", "range", message)


SERIAL_FRAME = DeviceKind(SerialFrame, check, build)
