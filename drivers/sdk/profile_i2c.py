"""``kind = "i2c"``: a device on an I2C bus that is commanded and read as a table says."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from drivers.sdk.bus import I2cDevice, I2cDriver, I2cPort
from drivers.sdk.checksum import CHECKSUMS, Checksum
from drivers.sdk.contract import Decoder, LineSettings, Measurement, Options
from drivers.sdk.framing import BlockDecoder, FrameError
from drivers.sdk.profile_fields import Made, field_tables, read_declaration
from drivers.sdk.profile_frame import Column, measuring, own_step, read_column
from drivers.sdk.profile_rules import Rule, read_rules
from drivers.sdk.profile_table import Table

_MOST_WAIT_MS = 1000
_MOST_BYTES = 256


@dataclass(frozen=True, slots=True)
class Step:
    """A command: bytes written, then seconds to wait."""

    raw: bytes
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """How the device says that there is something new: ``count`` bytes after the command, not all of the
    bits of ``mask`` zero."""

    command: Step
    count: int
    mask: int


@dataclass(frozen=True, slots=True)
class I2cSpec:
    """A whole I2C profile. ``length``: bytes of an answer as read; ``word_check``: the checksum that follows
    every two bytes of it (the columns' places do not count it)."""

    length: int
    word_check: Checksum | None
    columns: tuple[Column, ...]
    measure: Step
    start: tuple[Step, ...] = ()
    ready: Ready | None = None
    rules: tuple[Rule, ...] = ()

    def decoder(self) -> Callable[[Options], Decoder]:
        """A factory of decoders."""
        read, check, length = measuring(self.columns, self.rules), self.word_check, self.length

        def proven(block: bytes, at_s: float) -> Measurement:
            return read(unchecked(block, check) if check else block, at_s)

        return lambda options: BlockDecoder(length, proven)

    def open(self, port: I2cPort, address: int, options: Options) -> I2cDevice:
        """The device at an address."""
        return CommandedDevice(self, port, address)


def unchecked(block: bytes, check: Checksum) -> bytes:
    """The words of a block without the checksum behind each; FrameError where one is wrong."""
    words = []
    for at in range(0, len(block), 3):
        word = block[at : at + 2]
        if check.compute(word) != block[at + 2]:
            raise FrameError(check.reason)
        words.append(word)
    return b"".join(words)


def checked(words: bytes, check: Checksum) -> bytes:
    """Words with the checksum behind each, as the device sends them."""
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
            said = self._port.read(self._address, ready.count)
            check = self._spec.word_check
            if check is not None:
                try:
                    said = unchecked(said, check)
                except FrameError:
                    return b""
            if not int.from_bytes(said, "big") & ready.mask:
                return b""
        self._do(self._spec.measure)
        return self._port.read(self._address, self._spec.length)

    def _do(self, step: Step) -> None:
        if step.raw:
            self._port.write(self._address, step.raw)
        if step.wait_s:
            self._port.pause(step.wait_s)


def read_i2c(table: Table, columns: tuple[Column, ...], rules: tuple[Rule, ...]) -> I2cSpec:
    """The tables ``frame``, ``start``, ``ready`` and ``measure``; notes fields that do not fit."""
    frame = table.table("frame", required=True)
    length = frame.integer("length", least=1, most=_MOST_BYTES)
    check = CHECKSUMS[frame.one_of("word_check", CHECKSUMS)] if "word_check" in frame else None
    if check is not None and (check.size != 1 or length % 3):
        frame.wrong("word_check", "with a check for every two bytes, the length must be divisible by 3")
    frame.done()
    within = length // 3 * 2 if check else length
    for column in columns:
        if column.at < 0 or column.end > within:
            frame.wrong("length", "the field {field} does not fit into {size} bytes", field=column.name, size=within)
    start = tuple(_read_step(each) for each in table.tables("start"))
    ready = _read_ready(table.table("ready")) if "ready" in table else None
    measure = _read_step(table.table("measure")) if "measure" in table else Step(b"")
    return I2cSpec(length, check, columns, measure, start, ready, rules)


def _read_step(table: Table, *, whole: bool = True) -> Step:
    step = Step(table.hexadecimal("write"), table.integer("wait_ms", 0, least=0, most=_MOST_WAIT_MS) / 1000)
    if whole:
        table.done()
    return step


def _read_ready(table: Table) -> Ready:
    step = _read_step(table, whole=False)
    ready = Ready(step, table.integer("count", least=1, most=32), table.integer("mask", 0xFFFF, least=1))
    table.done()
    return ready


def i2c(table: Table, line: LineSettings) -> Made[I2cSpec]:
    """A device on an I2C bus; it has no line settings."""
    fields, columns = {}, []
    for name, each in field_tables(table):
        column = read_column(name, each)
        columns.append(column)
        fields[name] = read_declaration(each, own_step(column))
        each.done()
    spec = read_i2c(table, tuple(columns), read_rules(table, tuple(fields), binary=True))
    address = table.integer("address", least=3, most=0x77)
    others = table.raw("addresses")
    known = [each for each in others if isinstance(each, int)] if isinstance(others, list) else []
    return Made(
        fields,
        spec,
        partial(
            I2cDriver,
            fields=fields,
            decoder=spec.decoder(),
            inline=True,
            open=spec.open,
            address=address,
            addresses=tuple(dict.fromkeys([address, *known])),
            timeout_s=table.positive("timeout_s", 5),
        ),
    )
