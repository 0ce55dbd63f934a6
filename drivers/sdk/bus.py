"""Drivers of devices that share a bus: I2C, Modbus, 1-Wire. Pure; the agent's bus workers do the talking.

Every decoder here is fed one raw answer at a time and then finished (:class:`~drivers.sdk.contract.Decoder`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from drivers.sdk.contract import Decoder, Driver, Item, LineSettings, Options


class I2cPort(Protocol):
    """An I2C bus, for one caller at a time. All calls block; OSError: the device does not answer."""

    def write(self, address: int, raw: bytes) -> None:
        """One write: start, address, bytes, stop."""

    def read(self, address: int, count: int) -> bytes:
        """One read of exactly ``count`` bytes, with no register named."""

    def write_read(self, address: int, raw: bytes, count: int) -> bytes:
        """A write and, after a repeated start, a read of exactly ``count`` bytes."""

    def pause(self, seconds: float) -> None:
        """Wait for the device (milliseconds; a second at most)."""


class I2cDevice(Protocol):
    """How one device on an I2C bus is talked to. May block on its port, nowhere else. Raises OSError."""

    def start(self) -> None:
        """Set the device up: called first, and again after every failure."""

    def read(self) -> bytes:
        """The raw bytes of one measurement for the driver's decoder; empty while there is nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class I2cDriver(Driver):
    """A device on an I2C bus: sensor keys ``i2c_bus`` and ``address``.

    ``address`` counts where the configuration has none; ``addresses`` are all that it can have. ``join``
    makes one raw answer of the parts in which ``gardu decode`` takes it (most devices have one part); it
    raises ValueError, with a sentence, for parts that are none.
    """

    open: Callable[[I2cPort, int, Options], I2cDevice]
    address: int
    addresses: tuple[int, ...]
    timeout_s: float = 5.0
    join: Callable[[Sequence[bytes]], bytes] = b"".join


@dataclass(frozen=True, slots=True)
class ModbusRead:
    """A block of registers: function (1 to 4), first address (from 0), how many registers (or coils).

    ``optional``: not every device of the kind has it; from one that says so its fields are absent.
    """

    function: int
    address: int
    count: int
    optional: bool = field(default=False, compare=False)


class ModbusDecoder(Decoder, Protocol):
    """Takes the answers to a driver's reads, in their order, as Modbus RTU frames; the last of them gives the
    measurement. Noise around an answer is skipped."""

    done: int
    """How many reads are behind it, answered, refused or missed: it rises when the next question may be asked."""

    def missed(self, at_s: float) -> list[Item]:
        """The read at hand had no answer: its fields become ``bad:timeout``; go on with the next read."""

    def finish(self, at_s: float) -> list[Item]:
        """The round is over: give what there is of it, and begin with the first read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusDriver(Driver):
    """A Modbus device: sensor keys ``bus`` (or ``port``) and ``unit``.

    ``unit`` counts where the configuration has none. ``line``: the maker's setting, where the device has a
    port of its own; a bus has its own. ``timeout_s``: for one read; a device that has not answered by then
    does not. ``tcp``: Modbus TCP, ``port = "host:502"``; its answers reach the decoder in the same form
    (:func:`drivers.sdk.modbus.answer`). ``request_gap_s``: the silence that the device wants before a read.
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

    The decoder takes the text of its file ``w1_slave``; reading that may take a second and may fail (OSError:
    the device is away). ``families``: the family codes it may begin with.
    """

    families: tuple[str, ...]
    timeout_s: float = 5.0
