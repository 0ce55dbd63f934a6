"""``kind = "modbus"`` and ``kind = "modbus_tcp"``: a device whose registers are a table."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

from drivers.sdk.bus import ModbusDecoder, ModbusDriver, ModbusRead
from drivers.sdk.contract import FieldName, LineSettings, Options, Value
from drivers.sdk.messages import _
from drivers.sdk.modbus import AnswerDecoder, Block, content_bytes
from drivers.sdk.profiles.columns import Column, NumberFieldTable, check_number, converted, extractor
from drivers.sdk.profiles.fields import MAX_FIELDS, MAX_RULES, declaration
from drivers.sdk.profiles.kind import Device, DeviceKind, Seconds, Timeout
from drivers.sdk.profiles.rules import Rule, RuleTable, build_rules, check_rules, judge
from drivers.sdk.tables.limits import Limit
from drivers.sdk.tables.problem import Report, join

TYPES = {
    "u16": ">H",
    "s16": ">h",
    "u32": ">I",
    "s32": ">i",
    "u64": ">Q",
    "s64": ">q",
    "f32": ">f",
    "f64": ">d",
    "bit": ">B",
}
"""The types of a register field, and the struct format of each once its bytes are in order."""

_MAX_REGISTERS = 125
_MAX_BITS = 2000
_MAX_READS = 32
_BIT_FUNCTIONS = (1, 2)

Order = Literal["high", "low"]
Address = Annotated[int, Limit(min=0, max=0xFFFF)]
Function = Annotated[int, Limit(min=1, max=4)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTable:
    """An entry of ``reads``."""

    function: Function = 3
    address: Address
    count: Annotated[int, Limit(min=1, max=_MAX_BITS)] = 1
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFieldTable(NumberFieldTable):
    """``fields.NAME`` of a Modbus device."""

    register: Address
    type: Annotated[str, Limit(choices=tuple(TYPES))] = "u16"
    word_order: Order | None = None
    byte_order: Order | None = None
    function: Function | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusTcp:
    """The tables of the kind ``modbus_tcp``."""

    reads: Annotated[tuple[ReadTable, ...], Limit(min=1, max=_MAX_READS)]
    fields: Annotated[Mapping[FieldName, RegisterFieldTable], Limit(max=MAX_FIELDS)]
    rule: Annotated[tuple[RuleTable, ...], Limit(max=MAX_RULES)] = ()
    word_order: Order = "high"
    byte_order: Order = "high"
    timeout_s: Timeout = 1.0
    request_gap_s: Annotated[float, Limit(min=0, max=60)] = 0.0
    period_s: Seconds = 1.0
    unit: Annotated[int, Limit(min=0, max=255)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Modbus(ModbusTcp):
    """The tables of the kind ``modbus``."""

    line: LineSettings = field(default_factory=LineSettings)


@dataclass(frozen=True, slots=True)
class Register:
    """The place of a field: the number of its ``read``, and where it starts in the answer (a byte, or a bit).

    ``words_low``: the low word comes first; ``bytes_low``: the low byte of each word comes first. ``column``: makes the
    value of the bytes in their right order.
    """

    read: int
    at: int
    words_low: bool
    bytes_low: bool
    column: Column

    @property
    def size(self) -> int:
        return struct.calcsize(self.column.format)

    def ordered(self, raw: bytes) -> bytes:
        """Return the bytes of the field, highest first; or the other way round."""
        words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
        if self.bytes_low:
            words = [word[::-1] for word in words]
        return b"".join(reversed(words) if self.words_low else words)


@dataclass(frozen=True, slots=True)
class RegisterSpec:
    """What the decoder and the simulator of such a device work from."""

    reads: tuple[ModbusRead, ...]
    registers: tuple[Register, ...]
    rules: tuple[Rule, ...] = ()

    def decoder(self) -> Callable[[Options], ModbusDecoder]:
        """Return a factory of decoders."""
        blocks = tuple(self._block(at, read) for at, read in enumerate(self.reads))
        rules = self.rules

        def judged(values: dict[str, Value], at_s: float) -> Mapping[str, str]:
            return judge(rules, values, dict(values), b"", at_s)

        return lambda options: AnswerDecoder(blocks, judged if rules else None)

    def _block(self, number: int, read: ModbusRead) -> Block:
        extractors = [
            (register.column.name, _extractor(register, read)) for register in self.registers if register.read == number
        ]

        def values(content: bytes) -> Mapping[str, Value]:
            return {name: extract(content) for name, extract in extractors}

        return Block(read, tuple(name for name, _unused in extractors), values)


def _extractor(register: Register, read: ModbusRead) -> Callable[[bytes], Value]:
    value, at, size = extractor(register.column), register.at, register.size
    if read.function in _BIT_FUNCTIONS:
        return lambda content: value(bytes((content[at // 8] >> at % 8 & 1,)))
    if not register.words_low and not register.bytes_low:
        return lambda content: value(content[at : at + size])
    return lambda content: value(register.ordered(content[at : at + size]))


def content(spec: RegisterSpec, number: int, values: Mapping[str, bytes]) -> bytes:
    """Return the content of the answer to a read, from the raw bytes (highest first) of its fields."""
    read = spec.reads[number]
    whole = bytearray(content_bytes(read))
    for register in spec.registers:
        raw = values.get(register.column.name)
        if register.read != number or raw is None:
            continue
        if read.function in _BIT_FUNCTIONS:
            whole[register.at // 8] |= (raw[0] & 1) << register.at % 8
        else:
            whole[register.at : register.at + len(raw)] = register.ordered(raw)
    return bytes(whole)


def check(tables: ModbusTcp, path: str, report: Report) -> None:
    """Report what does not fit together."""
    reads, fields = join(path, "reads"), join(path, "fields")
    for at, read in enumerate(tables.reads):
        if read.function not in _BIT_FUNCTIONS and read.count > _MAX_REGISTERS:
            hint = _("{kind} from {low} to {high}").format(kind=_("an integer"), low=1, high=_MAX_REGISTERS)
            message = _("{value} is out of range").format(value=read.count)
            report.error(f"{reads}[{at}].count", "range", message, hint)
    for name, table in tables.fields.items():
        where = f"{fields}.{name}"
        check_number(table, where, report)
        if report.sound(reads, where) and _place(name, table, tables) is None:
            message = _("no block of reads covers register {value} completely").format(value=table.register)
            report.error(f"{where}.register", "no_block", message)
    check_rules(tables.rule, tables.fields, path, report)


def build(tables: ModbusTcp) -> Device[RegisterSpec]:
    """Return the device of tables without a problem."""
    places = [_place(name, table, tables) for name, table in tables.fields.items()]
    registers = tuple(place for place in places if place is not None)
    columns = [register.column for register in registers]
    fields = {column.name: declaration(tables.fields[column.name], column.step) for column in columns}
    reads = tuple(ModbusRead(read.function, read.address, read.count, read.optional) for read in tables.reads)
    spec = RegisterSpec(reads, registers, build_rules(tables.rule))
    driver = partial(
        ModbusDriver,
        fields=fields,
        decoder=spec.decoder(),
        inline=True,
        period_s=tables.period_s,
        reads=reads,
        unit=tables.unit,
        line=tables.line if isinstance(tables, Modbus) else LineSettings(),
        timeout_s=tables.timeout_s,
        request_gap_s=tables.request_gap_s,
        tcp=not isinstance(tables, Modbus),
    )
    return Device(fields, spec, driver)


def _place(name: str, table: RegisterFieldTable, tables: ModbusTcp) -> Register | None:
    """Return where the registers of a field stand; None where no read contains all of them."""
    is_bit = table.type == "bit"
    count = 1 if is_bit else struct.calcsize(TYPES[table.type]) // 2
    for number, read in enumerate(tables.reads):
        inside = read.address <= table.register and table.register + count <= read.address + read.count
        same_kind = (read.function in _BIT_FUNCTIONS) == is_bit
        if inside and same_kind and table.function in (None, read.function):
            at = (table.register - read.address) * (1 if is_bit else 2)
            words, order = table.word_order or tables.word_order, table.byte_order or tables.byte_order
            column = converted(Column(name, 0, TYPES[table.type]), table)
            return Register(number, at, words == "low", order == "low", column)
    return None


MODBUS = DeviceKind(Modbus, check, build)
MODBUS_TCP = DeviceKind(ModbusTcp, check, build)
