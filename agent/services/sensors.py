"""Which kind of task runs a sensor, by its driver. Kinds that a gateway does not use are not loaded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from agent.core.settings import Bus, Sensor
from agent.services import serial_sensor
from agent.services.sensor import SensorTask, Surroundings
from agent.services.serial_sensor import SerialSensor
from drivers.sdk.contract import Driver, PollDriver, SerialDriver

if TYPE_CHECKING:
    from agent.services import bus_sensor, gpio_sensor, modbus_sensor

    class Edges(serial_sensor.Edges, modbus_sensor.Edges, bus_sensor.Edges, gpio_sensor.Edges, Protocol):
        """What all kinds of sensors need of the world."""

        @property
        def buses(self) -> Mapping[str, Bus]: ...


def sensor_task(settings: Sensor, driver: Driver, around: Surroundings, edges: "Edges") -> SensorTask:
    """The task for a sensor with this driver. Raises :class:`TypeError` for a kind of driver that no task runs."""
    if isinstance(driver, SerialDriver):
        return SerialSensor(settings, driver, around, edges)
    if isinstance(driver, PollDriver):
        from agent.services.poll_sensor import PollSensor

        return PollSensor(settings, driver, around, edges)
    return _on_a_bus(settings, driver, around, edges) or _on_lines(settings, driver, around, edges)


def _on_a_bus(settings: Sensor, driver: Driver, around: Surroundings, edges: "Edges") -> SensorTask | None:
    from drivers.sdk.bus import I2cDriver, ModbusDriver, W1Driver

    if isinstance(driver, ModbusDriver):
        from agent.services.modbus_sensor import ModbusSensor

        return ModbusSensor(settings, driver, around, edges, edges.buses.get(settings.bus))
    from agent.services.bus_sensor import I2cSensor, W1Sensor

    if isinstance(driver, I2cDriver):
        return I2cSensor(settings, driver, around, edges)
    return W1Sensor(settings, driver, around, edges) if isinstance(driver, W1Driver) else None


def _on_lines(settings: Sensor, driver: Driver, around: Surroundings, edges: "Edges") -> SensorTask:
    from agent.services.gpio_sensor import GpioSensor
    from drivers.sdk.gpio import GpioDriver

    if not isinstance(driver, GpioDriver):
        raise TypeError(type(driver).__name__)
    return GpioSensor(settings, driver, around, edges)
