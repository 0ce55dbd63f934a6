"""Creates a sensor: its runner, and the source that fits its driver. Unused kinds of source are not loaded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from agent.config.settings import Bus, Sensor
from agent.sensing.context import SensorContext
from agent.sensing.runner import SensorRunner
from agent.sensing.sources import serial
from agent.sensing.sources.source import Source
from drivers.sdk.contract import Driver, PollDriver, SerialDriver

if TYPE_CHECKING:
    from agent.sensing.sources import bus, gpio, modbus

    class Ports(serial.SerialPorts, modbus.ModbusPorts, bus.Buses, gpio.LinePorts, Protocol):
        """Gives the sensors of one configuration access to their devices. ``buses``: its ``[[bus]]`` tables by id."""

        @property
        def buses(self) -> Mapping[str, Bus]: ...


def sensor_runner(settings: Sensor, driver: Driver, context: SensorContext, ports: "Ports") -> SensorRunner:
    """Return the runner of a sensor with this driver. Raises :class:`TypeError` for an unknown kind of driver."""
    return SensorRunner(settings, driver, context, source_for(settings, driver, context, ports))


def source_for(settings: Sensor, driver: Driver, context: SensorContext, ports: "Ports") -> Source:
    """Return the source that fits the driver. Raises :class:`TypeError` for an unknown kind of driver."""
    if isinstance(driver, SerialDriver):
        return serial.SerialSource(settings, driver, ports)
    if isinstance(driver, PollDriver):
        from agent.sensing.sources.polled import PolledSource

        return PolledSource(settings, driver)
    return _bus_source(settings, driver, ports) or _line_source(settings, driver, context, ports)


def _bus_source(settings: Sensor, driver: Driver, ports: "Ports") -> Source | None:
    from drivers.sdk.bus import I2cDriver, ModbusDriver, W1Driver

    if isinstance(driver, ModbusDriver):
        from agent.sensing.sources.modbus import ModbusSource

        return ModbusSource(settings, driver, ports, ports.buses.get(settings.bus))
    from agent.sensing.sources.bus import i2c_source, onewire_source

    if isinstance(driver, I2cDriver):
        return i2c_source(settings, driver, ports)
    return onewire_source(settings, driver, ports) if isinstance(driver, W1Driver) else None


def _line_source(settings: Sensor, driver: Driver, context: SensorContext, ports: "Ports") -> Source:
    from agent.sensing.sources.gpio import GpioSource
    from drivers.sdk.gpio import GpioDriver

    if not isinstance(driver, GpioDriver):
        raise TypeError(type(driver).__name__)
    return GpioSource(settings, driver, ports, context.store)
