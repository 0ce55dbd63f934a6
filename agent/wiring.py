"""How the sensors of one configuration get at the world: ports of their own, and buses that they share."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agent.core.reading import Stamp
from agent.core.settings import Config
from agent.edges.serial_link import SerialLink
from agent.edges.worker import Worker
from drivers.sdk.contract import LineSettings

if TYPE_CHECKING:
    from agent.edges.gpio_link import GpioLink
    from agent.edges.i2c_port import I2cPort
    from agent.edges.w1_files import W1Files
    from agent.services.sensing.blocking_bus import BlockingBus
    from agent.services.sensing.shared_port import SharedPort
    from agent.services.sensing.sources.gpio import LineRequest


class Wiring:
    """Opens what sensors ask for; what several of them use is there once, and what none uses is not loaded."""

    def __init__(self, now: Callable[[], Stamp], config: Config) -> None:
        self.now = now
        self.buses = {bus.id: bus for bus in config.bus}
        self._ports: dict[str, SharedPort] = {}
        self._i2c: dict[int, BlockingBus[I2cPort]] = {}
        self._w1: BlockingBus[W1Files] | None = None

    def use(self, config: Config) -> None:
        """Take the buses of another configuration. Ports that are open stay so."""
        self.buses = {bus.id: bus for bus in config.bus}

    def worker(self, name: str) -> Worker:
        """A thread for code that may block."""
        return Worker(name)

    def open_port(self, name: str, line: LineSettings) -> SerialLink:
        """A serial port for one sensor. Raises :class:`~agent.core.failure.PortLost`."""
        return SerialLink.open(name, line)

    def shared_port(self, name: str, line: LineSettings) -> "SharedPort":
        """A serial port for several sensors; the first one's settings count."""

        from agent.services.sensing.shared_port import SharedPort

        async def open_link() -> SerialLink:
            return SerialLink.open(name, line)

        return self._ports.setdefault(name, SharedPort(open_link))

    def shared_tcp(self, name: str) -> "SharedPort":
        """A connection to a Modbus TCP server, ``host:port``."""

        from agent.edges.modbus_tcp import ModbusTcpLink
        from agent.services.sensing.shared_port import SharedPort

        async def open_link() -> ModbusTcpLink:
            return await ModbusTcpLink.open(name)

        return self._ports.setdefault(name, SharedPort(open_link))

    def i2c_bus(self, number: int) -> "BlockingBus[I2cPort]":
        """An I2C bus."""
        from agent.edges.i2c_port import I2cPort
        from agent.services.sensing.blocking_bus import BlockingBus

        if number not in self._i2c:
            self._i2c[number] = BlockingBus(f"I2C {number}", lambda: I2cPort(number), Worker)
        return self._i2c[number]

    def w1_bus(self) -> "BlockingBus[W1Files]":
        """The 1-Wire buses: the kernel has one lock for all of them."""
        from agent.edges.w1_files import W1Files
        from agent.services.sensing.blocking_bus import BlockingBus

        if self._w1 is None:
            self._w1 = BlockingBus("1-Wire", W1Files, Worker)
        return self._w1

    def open_lines(self, chip: str, lines: "Mapping[str, LineRequest]", output: int | None) -> "GpioLink":
        """GPIO lines for one sensor. Raises :class:`~agent.core.failure.PortLost`."""
        from agent.edges.gpio_link import GpioLink
        from agent.edges.gpio_link import LineSettings as GpioLineSettings

        return GpioLink.open(chip, {role: GpioLineSettings(*one) for role, one in lines.items()}, output)

    def close(self) -> None:
        """Let go of what was shared; does not wait."""
        for port in self._ports.values():
            port.close()
        for bus in (*self._i2c.values(), self._w1):
            if bus is not None:
                bus.close()
