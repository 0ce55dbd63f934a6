"""Opens the ports and buses for the sensors of one configuration: exclusive ports, and shared buses."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from agent.base.io.worker import Worker
from agent.base.reading import Stamp
from agent.config.settings import Bus, Config, Sensor
from agent.sensing.io.serial_port import SerialLink
from drivers.sdk.contract import Driver, LineSettings

if TYPE_CHECKING:
    from agent.sensing.io.gpio_lines import GpioLink
    from agent.sensing.io.i2c_bus import I2cPort
    from agent.sensing.io.onewire import W1Files
    from agent.sensing.sources.blocking_bus import BlockingBus
    from agent.sensing.sources.gpio import LineRequest
    from agent.sensing.sources.shared_port import SharedPort


class PortRegistry:
    """Opens what the sensors request. A shared port is opened once; unused kinds of port are not loaded.

    ``now``: returns the current time. ``buses``: by id.
    """

    def __init__(self, now: Callable[[], Stamp]) -> None:
        self.now = now
        self.buses: Mapping[str, Bus] = {}
        self._ports: dict[tuple[str, LineSettings | None], SharedPort] = {}
        self._i2c: dict[int, BlockingBus[I2cPort]] = {}
        self._w1: BlockingBus[W1Files] | None = None

    def use(self, config: Config, drivers: Mapping[str, Driver], kept: Collection[str]) -> None:
        """Switch to this configuration. ``drivers``: by sensor id; ``kept``: ids of the sensors that keep running.

        Call it after the other sensors have stopped, and before new ones start. A port used by none of ``kept`` is
        closed, so that it can be reopened with the new settings or used by other programs.
        """
        self.buses = {bus.id: bus for bus in config.bus}
        in_use = {_port(sensor, self.buses) for sensor in config.sensor if sensor.id in kept}
        for key in [key for key in self._ports if key[0] not in in_use]:
            self._ports.pop(key).close()
        self._release_buses(config, drivers)

    def _release_buses(self, config: Config, drivers: Mapping[str, Driver]) -> None:
        """Close the I2C and 1-Wire buses that no sensor names. The others stay open, with their count of hangs."""
        if not self._i2c and self._w1 is None:
            return
        from drivers.sdk.bus import I2cDriver, W1Driver

        used = [(sensor, drivers[sensor.id]) for sensor in config.sensor]
        numbers = {_i2c_number(sensor) for sensor, driver in used if isinstance(driver, I2cDriver)}
        for number in self._i2c.keys() - numbers:
            self._i2c.pop(number).close()
        if self._w1 is not None and not any(isinstance(driver, W1Driver) for _, driver in used):
            self._w1.close()
            self._w1 = None

    def worker(self, name: str) -> Worker:
        """Start a thread for code that may block."""
        return Worker(name)

    def open_port(self, name: str, line: LineSettings) -> SerialLink:
        """Open a serial port for one sensor. Raises :class:`~agent.sensing.sensor_errors.PortLost`."""
        return SerialLink.open(name, line)

    def shared_port(self, name: str, line: LineSettings) -> "SharedPort":
        """Return a serial port shared by several sensors: one for each set of line settings."""

        from agent.sensing.sources.shared_port import SharedPort

        async def open_link() -> SerialLink:
            return SerialLink.open(name, line)

        return self._ports.setdefault((name, line), SharedPort(open_link))

    def shared_tcp(self, name: str) -> "SharedPort":
        """Return the shared connection to a Modbus TCP server, ``host:port``."""

        from agent.sensing.io.modbus_tcp import ModbusTcpLink
        from agent.sensing.sources.shared_port import SharedPort

        async def open_link() -> ModbusTcpLink:
            return await ModbusTcpLink.open(name)

        return self._ports.setdefault((name, None), SharedPort(open_link))

    def i2c_bus(self, number: int) -> "BlockingBus[I2cPort]":
        """Return an I2C bus."""
        from agent.sensing.io.i2c_bus import I2cPort
        from agent.sensing.sources.blocking_bus import BlockingBus

        if number not in self._i2c:
            self._i2c[number] = BlockingBus(f"I2C {number}", lambda: I2cPort(number), Worker)
        return self._i2c[number]

    def w1_bus(self) -> "BlockingBus[W1Files]":
        """Return the 1-Wire buses as one: the kernel has one lock for all of them."""
        from agent.sensing.io.onewire import W1Files
        from agent.sensing.sources.blocking_bus import BlockingBus

        if self._w1 is None:
            self._w1 = BlockingBus("1-Wire", W1Files, Worker)
        return self._w1

    def open_lines(self, chip: str, lines: "Mapping[str, LineRequest]", output: int | None) -> "GpioLink":
        """Request GPIO lines for one sensor. Raises :class:`~agent.sensing.sensor_errors.PortLost`."""
        from agent.sensing.io.gpio_lines import GpioLineSettings, GpioLink

        return GpioLink.open(chip, {role: GpioLineSettings(*request) for role, request in lines.items()}, output)

    def close(self) -> None:
        """Close everything shared; does not wait."""
        for port in self._ports.values():
            port.close()
        for bus in (*self._i2c.values(), self._w1):
            if bus is not None:
                bus.close()
        self._ports, self._i2c, self._w1 = {}, {}, None


def _port(sensor: Sensor, buses: Mapping[str, Bus]) -> str:
    """Return the serial port or server of a sensor; empty if it has none."""
    return buses[sensor.bus].port if sensor.bus in buses else sensor.port


def _i2c_number(sensor: Sensor) -> int:
    return 1 if sensor.i2c_bus is None else sensor.i2c_bus
