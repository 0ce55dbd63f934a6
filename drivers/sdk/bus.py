"""Drivers of devices that share a bus: I2C, Modbus, 1-Wire. Pure; the agent's bus workers access the bus.

Each decoder is fed a raw answer and then finished (:class:`~drivers.sdk.contract.Decoder`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from drivers.sdk.contract import Decoder, Driver, Item, LineSettings, Options


class I2cPort(Protocol):
    """An I2C bus, for a single caller at a time. All calls block, and raise OSError when the device does not answer."""

    def write(self, address: int, raw: bytes) -> None:
        """Write: start, address, bytes, stop."""

    def read(self, address: int, count: int) -> bytes:
        """Read exactly ``count`` bytes, without naming a register."""

    def write_read(self, address: int, raw: bytes, count: int) -> bytes:
        """Write and, after a repeated start, read exactly ``count`` bytes."""

    def pause(self, seconds: float) -> None:
        """Wait for the device: usually milliseconds, at most a second."""


class I2cDevice(Protocol):
    """Access to a device on an I2C bus. May block on its port, nowhere else. Raises OSError."""

    def start(self) -> None:
        """Set the device up. Called first, and again after every failure."""

    def read(self) -> bytes:
        """Return the raw bytes of a measurement, for the driver's decoder; nothing while there is no new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class I2cDriver(Driver):
    """A device on an I2C bus: sensor keys ``i2c_bus`` and ``address``.

    ``address``: if the configuration has none. ``addresses``: all that the device can have. ``join``: makes a raw
    answer of the parts that ``gardu decode`` is given (most devices have a single part); it raises ValueError, with a
    sentence, for anything else.
    """

    open: Callable[[I2cPort, int, Options], I2cDevice]
    address: int
    addresses: tuple[int, ...]
    timeout_s: float = 5.0
    join: Callable[[Sequence[bytes]], bytes] = b"".join


@dataclass(frozen=True, slots=True)
class ModbusRead:
    """A block of registers: function (1 to 4), first address (from 0), and how many registers (or coils).

    ``optional``: some devices of the kind reject it because they do not have it; its fields are then absent.
    """

    function: int
    address: int
    count: int
    optional: bool = field(default=False, compare=False)


class ModbusDecoder(Decoder, Protocol):
    """Decodes the answers to a driver's reads, in their order, as Modbus RTU frames. The last of them completes the
    measurement. Noise around an answer is skipped."""

    done: int
    """How many reads were answered, refused or missed. It increases when the next request may be sent."""

    def missed(self, at_s: float) -> list[Item]:
        """The present read had no answer: its fields become ``bad:timeout``; continue with the next read."""

    def finish(self, at_s: float) -> list[Item]:
        """Return what there is at the end of a round; begin with the first read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusDriver(Driver):
    """A Modbus device: sensor keys ``bus`` (or ``port``) and ``unit``.

    ``unit``: if the configuration has none. ``line``: the maker's setting, for a device with a port of its own; a bus
    has its own. ``timeout_s``: how soon a read must be answered. ``tcp``: Modbus TCP, ``port = "host:502"``; its
    answers reach the decoder in the same form (:func:`drivers.sdk.modbus.answer`). ``request_gap_s``: the silence that
    the device needs before a read.
    """

    decoder: Callable[[Options], ModbusDecoder]
    reads: tuple[ModbusRead, ...]
    unit: int = 1
    line: LineSettings = field(default_factory=LineSettings)
    timeout_s: float = 1.0
    request_gap_s: float = 0.0
    tcp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class W1Driver(Driver):
    """A device on the kernel's 1-Wire bus: sensor key ``w1`` (``28-0316a2795cff``), the name of its folder.

    The decoder is fed the text of the file ``w1_slave``. Reading it can last a second, and raises OSError when the
    device is missing. ``families``: the family codes that the name may begin with.
    """

    families: tuple[str, ...]
    timeout_s: float = 5.0
