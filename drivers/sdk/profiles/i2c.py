"""``kind = "i2c"``: a device on an I2C bus that takes commands and is read, as a table says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from drivers.sdk.bus import I2cDevice, I2cDriver, I2cPort
from drivers.sdk.checksum import CHECKSUMS, Checksum
from drivers.sdk.contract import Decoder, FieldName, Measurement, Options
from drivers.sdk.framing import BlockDecoder, FrameError
from drivers.sdk.messages import _
from drivers.sdk.profiles.columns import (
    BytesFieldTable,
    Column,
    build_column,
    check_fit,
    check_number,
    measurement_reader,
)
from drivers.sdk.profiles.fields import MAX_FIELDS, MAX_RULES, declaration
from drivers.sdk.profiles.kind import Device, DeviceKind, Seconds, Timeout
from drivers.sdk.profiles.rules import BytesRuleTable, Rule, build_rules, check_rules
from drivers.sdk.tables.limits import Hex, Limit
from drivers.sdk.tables.problem import Report, join

_MAX_WAIT_MS = 1000
_MAX_BYTES = 256

Address = Annotated[int, Limit(min=3, max=0x77)]
WordCheck = Annotated[str, Limit(choices=tuple(name for name, check in CHECKSUMS.items() if check.size == 1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTable:
    """``measure``, and an entry of ``start``."""

    write: Hex
    wait_ms: Annotated[int, Limit(min=0, max=_MAX_WAIT_MS)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyTable(CommandTable):
    """``ready``."""

    count: Annotated[int, Limit(min=1, max=32)]
    mask: Annotated[int, Limit(min=1, max=0xFFFF)] = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTable:
    """``frame`` of an I2C device."""

    length: Annotated[int, Limit(min=1, max=_MAX_BYTES)]
    word_check: WordCheck | None = None

    @property
    def size(self) -> int:
        """How many bytes of the answer are no checksum."""
        return self.length // 3 * 2 if self.word_check else self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class I2c:
    """The tables of the kind."""

    address: Address
    addresses: Annotated[tuple[Address, ...], Limit(max=128)] = ()
    frame: AnswerTable
    fields: Annotated[Mapping[FieldName, BytesFieldTable], Limit(max=MAX_FIELDS)]
    rule: Annotated[tuple[BytesRuleTable, ...], Limit(max=MAX_RULES)] = ()
    start: Annotated[tuple[CommandTable, ...], Limit(max=100)] = ()
    ready: ReadyTable | None = None
    measure: CommandTable | None = None
    timeout_s: Timeout = 5.0
    period_s: Seconds = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """A command: bytes to write, then seconds to wait."""

    raw: bytes
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether there is a new measurement: after the command, a bit of ``mask`` is set in ``count`` bytes."""

    command: Step
    count: int
    mask: int


@dataclass(frozen=True, slots=True)
class I2cSpec:
    """What the decoder and the simulator of such a device work from.

    ``length``: of an answer, in bytes. ``word_check``: the checksum that follows every two bytes of it; the places of
    the columns do not count it.
    """

    length: int
    word_check: Checksum | None
    columns: tuple[Column, ...]
    measure: Step
    start: tuple[Step, ...] = ()
    ready: Ready | None = None
    rules: tuple[Rule, ...] = ()

    def decoder(self) -> Callable[[Options], Decoder]:
        """Return a factory of decoders."""
        read, check, length = measurement_reader(self.columns, self.rules), self.word_check, self.length

        def parse(block: bytes, at_s: float) -> Measurement:
            return read(unchecked(block, check) if check else block, at_s)

        return lambda options: BlockDecoder(length, parse)

    def open(self, port: I2cPort, address: int, options: Options) -> I2cDevice:
        """Return the device at an address."""
        return CommandedDevice(self, port, address)


def unchecked(block: bytes, check: Checksum) -> bytes:
    """Return the words of a block without their checksums. Raises FrameError where a checksum is wrong."""
    words = []
    for at in range(0, len(block), 3):
        word = block[at : at + 2]
        if check.compute(word) != block[at + 2]:
            raise FrameError(check.reason)
        words.append(word)
    return b"".join(words)


def checked(words: bytes, check: Checksum) -> bytes:
    """Return the words, each followed by its checksum, as the device sends them."""
    pairs = [words[at : at + 2] for at in range(0, len(words), 2)]
    return b"".join(pair + bytes((check.compute(pair),)) for pair in pairs)


class CommandedDevice:
    """A device that takes commands and is read without naming a register."""

    def __init__(self, spec: I2cSpec, port: I2cPort, address: int) -> None:
        self._spec = spec
        self._port = port
        self._address = address

    def start(self) -> None:
        for step in self._spec.start:
            self._do(step)

    def read(self) -> bytes:
        ready = self._spec.ready
        if ready is not None:
            self._do(ready.command)
            answer = self._port.read(self._address, ready.count)
            check = self._spec.word_check
            if check is not None:
                try:
                    answer = unchecked(answer, check)
                except FrameError:
                    return b""
            if not int.from_bytes(answer, "big") & ready.mask:
                return b""
        self._do(self._spec.measure)
        return self._port.read(self._address, self._spec.length)

    def _do(self, step: Step) -> None:
        if step.raw:
            self._port.write(self._address, step.raw)
        if step.wait_s:
            self._port.pause(step.wait_s)


def check(tables: I2c, path: str, report: Report) -> None:
    """Report what does not fit together."""
    frame, fields = join(path, "frame"), join(path, "fields")
    for name, table in tables.fields.items():
        check_number(table, f"{fields}.{name}", report)
    check_rules(tables.rule, tables.fields, path, report)
    if not report.sound(frame):
        return
    if tables.frame.word_check and tables.frame.length % 3:
        message = _("with a check for every two bytes, the length must be divisible by 3")
        report.error(f"{frame}.word_check", "range", message)
    else:
        check_fit(tables.fields, tables.frame.size, fields, f"{frame}.length", report)


def build(tables: I2c) -> Device[I2cSpec]:
    """Return the device of tables without a problem."""
    columns = tuple(build_column(name, table) for name, table in tables.fields.items())
    fields = {column.name: declaration(tables.fields[column.name], column.step) for column in columns}
    frame, ready = tables.frame, tables.ready
    spec = I2cSpec(
        frame.length,
        CHECKSUMS[frame.word_check] if frame.word_check else None,
        columns,
        Step(b"") if tables.measure is None else _step(tables.measure),
        tuple(_step(command) for command in tables.start),
        None if ready is None else Ready(_step(ready), ready.count, ready.mask),
        build_rules(tables.rule),
    )
    driver = partial(
        I2cDriver,
        fields=fields,
        decoder=spec.decoder(),
        inline=True,
        period_s=tables.period_s,
        open=spec.open,
        address=tables.address,
        addresses=tuple(dict.fromkeys([tables.address, *tables.addresses])),
        timeout_s=tables.timeout_s,
    )
    return Device(fields, spec, driver)


def _step(table: CommandTable) -> Step:
    return Step(bytes.fromhex(table.write), table.wait_ms / 1000)


I2C = DeviceKind(I2c, check, build)
