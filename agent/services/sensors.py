"""Which kind of task runs a sensor, by its driver."""

from collections.abc import Mapping
from typing import Protocol

from agent.core.settings import Bus, Sensor
from agent.services import bus_sensor, gpio_sensor, modbus_sensor, serial_sensor
from agent.services.bus_sensor import I2cSensor, W1Sensor
from agent.services.gpio_sensor import GpioSensor
from agent.services.modbus_sensor import ModbusSensor
from agent.services.poll_sensor import PollSensor
from agent.services.sensor import SensorTask, Surroundings
from agent.services.serial_sensor import SerialSensor
from drivers.sdk.bus import I2cDriver, ModbusDriver, W1Driver
from drivers.sdk.contract import Driver, PollDriver, SerialDriver
from drivers.sdk.gpio import GpioDriver


class Edges(serial_sensor.Edges, modbus_sensor.Edges, bus_sensor.Edges, gpio_sensor.Edges, Protocol):
    """What all kinds of sensors need of the world."""

    @property
    def buses(self) -> Mapping[str, Bus]: ...


def sensor_task(settings: Sensor, driver: Driver, around: Surroundings, edges: Edges) -> SensorTask:
    """The task for a sensor with this driver. Raises :class:`TypeError` for a kind of driver that no task runs."""
    match driver:
        case SerialDriver():
            return SerialSensor(settings, driver, around, edges)
        case PollDriver():
            return PollSensor(settings, driver, around, edges)
        case ModbusDriver():
            return ModbusSensor(settings, driver, around, edges, edges.buses.get(settings.bus))
        case I2cDriver():
            return I2cSensor(settings, driver, around, edges)
        case W1Driver():
            return W1Sensor(settings, driver, around, edges)
        case GpioDriver():
            return GpioSensor(settings, driver, around, edges)
    raise TypeError(type(driver).__name__)
