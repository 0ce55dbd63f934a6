"""``kind = "modbus"``: a device whose registers are a table."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from drivers.sdk.bus import ModbusDecoder, ModbusDriver, ModbusRead
from drivers.sdk.contract import LineSettings, Options, Value
from drivers.sdk.modbus import AnswerDecoder, Block, content_bytes
from drivers.sdk.profile_fields import Made, field_tables, read_declaration
from drivers.sdk.profile_frame import Column, own_step, read_conversion, taker
from drivers.sdk.profile_rules import Rule, judge, read_rules
from drivers.sdk.profile_table import Table

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

ORDERS = ("high", "low")
_MOST_REGISTERS = 125
_MOST_BITS = 2000
_MOST_READS = 32
_BIT_FUNCTIONS = (1, 2)


@dataclass(frozen=True, slots=True)
class Register:
    """A field's place: the ``read`` it comes with, its first ``byte`` (or bit) in the answer's content.

    ``words_low``: the low word comes first; ``bytes_low``: the low byte of each word does. ``column`` turns
    the bytes, once in order, into the value.
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
        """The bytes of the field, highest first; and back."""
        words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
        if self.bytes_low:
            words = [word[::-1] for word in words]
        return b"".join(reversed(words) if self.words_low else words)


@dataclass(frozen=True, slots=True)
class RegisterSpec:
    """A whole Modbus profile: what the decoder and the simulator work from."""

    reads: tuple[ModbusRead, ...]
    registers: tuple[Register, ...]
    rules: tuple[Rule, ...] = ()

    def decoder(self) -> Callable[[Options], ModbusDecoder]:
        """A factory of decoders."""
        blocks = tuple(self._block(at, read) for at, read in enumerate(self.reads))
        rules = self.rules

        def judged(values: dict[str, Value], at_s: float) -> Mapping[str, str]:
            return judge(rules, values, dict(values), b"", at_s)

        return lambda options: AnswerDecoder(blocks, judged if rules else None)

    def _block(self, number: int, read: ModbusRead) -> Block:
        takers = [
            (register.column.name, _taker(register, read)) for register in self.registers if register.read == number
        ]

        def take(content: bytes) -> Mapping[str, Value]:
            return {name: taken(content) for name, taken in takers}

        return Block(read, tuple(name for name, _ in takers), take)


def _taker(register: Register, read: ModbusRead) -> Callable[[bytes], Value]:
    value, at, size = taker(register.column), register.at, register.size
    if read.function in _BIT_FUNCTIONS:
        return lambda content: value(bytes((content[at // 8] >> at % 8 & 1,)))
    if not register.words_low and not register.bytes_low:
        return lambda content: value(content[at : at + size])
    return lambda content: value(register.ordered(content[at : at + size]))


def read_reads(table: Table) -> tuple[ModbusRead, ...]:
    """The ``reads``: a list of blocks, ``{ function, address, count, optional }``."""
    reads = []
    for each in table.tables("reads"):
        function = each.integer("function", 3, least=1, most=4)
        most = _MOST_BITS if function in _BIT_FUNCTIONS else _MOST_REGISTERS
        count = each.integer("count", 1, least=1, most=most)
        reads.append(ModbusRead(function, each.integer("address"), count, each.flag("optional")))
        if not 0 <= reads[-1].address <= 0xFFFF:
            each.wrong(
                "address", "{value} is not between {least} and {most}", value=reads[-1].address, least=0, most=0xFFFF
            )
        each.done()
    if not reads:
        table.wrong("reads", "missing; expected {wanted}", wanted="a list of register blocks")
    elif len(reads) > _MOST_READS:
        table.wrong("reads", "{value} is not between {least} and {most}", value=len(reads), least=1, most=_MOST_READS)
    return tuple(reads)


def read_register(name: str, table: Table, reads: tuple[ModbusRead, ...], orders: tuple[str, str]) -> Register:
    """Where a field's registers stand; notes one that no block reads. ``orders``: of words and of bytes."""
    first = table.integer("register", least=0)
    kind = table.one_of("type", TYPES, "u16")
    column = read_conversion(table, Column(name, 0, TYPES[kind]))
    words = table.one_of("word_order", ORDERS, orders[0])
    order = table.one_of("byte_order", ORDERS, orders[1])
    function = table.integer("function", least=1, most=4) if "function" in table else None
    count = 1 if kind == "bit" else struct.calcsize(TYPES[kind]) // 2
    for number, read in enumerate(reads):
        is_bit = read.function in _BIT_FUNCTIONS
        inside = read.address <= first and first + count <= read.address + read.count
        if inside and is_bit == (kind == "bit") and function in (None, read.function):
            at = (first - read.address) * (1 if is_bit else 2)
            return Register(number, at, words == "low", order == "low", column)
    if reads:
        table.wrong("register", "no block of reads covers register {value} completely", value=first)
    return Register(0, 0, False, False, column)


def content(spec: RegisterSpec, number: int, values: Mapping[str, bytes]) -> bytes:
    """The content of the answer to a read, from the raw bytes (highest first) of its fields."""
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


def modbus(table: Table, line: LineSettings, *, tcp: bool = False) -> Made[RegisterSpec]:
    """A device on a Modbus; ``tcp``: one that is reached over the network."""
    reads = read_reads(table)
    orders = table.one_of("word_order", ORDERS, "high"), table.one_of("byte_order", ORDERS, "high")
    fields, registers = {}, []
    for name, each in field_tables(table):
        register = read_register(name, each, reads, orders)
        registers.append(register)
        fields[name] = read_declaration(each, own_step(register.column))
        each.done()
    spec = RegisterSpec(reads, tuple(registers), read_rules(table, tuple(fields), binary=False))
    return Made(
        fields,
        spec,
        partial(
            ModbusDriver,
            fields=fields,
            decoder=spec.decoder(),
            inline=True,
            reads=reads,
            unit=table.integer("unit", 1, least=0, most=255),
            line=line,
            timeout_s=table.positive("timeout_s", 1),
            request_gap_s=table.number("request_gap_s", 0),
            tcp=tcp,
        ),
    )
