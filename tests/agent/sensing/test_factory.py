"""Which source runs which driver, and that a gateway loads only what it uses."""

import subprocess
import sys

import pytest

from agent.config.io.catalog import Catalog
from agent.config.settings import Bus, Sensor
from agent.sensing import factory
from agent.sensing.runner import SensorRunner
from drivers.sdk.contract import Driver
from tests.agent.sensing.fakes import FakeContext, Words


class Ports:
    """Nothing is opened here."""

    def __init__(self) -> None:
        self.buses = {"rs485-0": Bus("rs485-0", "/dev/rs485")}


def place(driver: Driver, **settings: object) -> str:
    """Where the sensor's source says that the device is."""
    sensor = Sensor(id="a", driver=driver.name, **settings)  # type: ignore[arg-type]
    source = factory.source_for(sensor, driver, FakeContext().context, Ports())  # type: ignore[arg-type]
    return f"{type(source).__name__} {source.place}"


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("sds011", {"port": "/dev/ttyUSB0"}, "SerialSource /dev/ttyUSB0"),
        ("system", {}, "PolledSource system"),
        ("bme280", {}, "BusSource I2C 1:0x76"),
        ("ds18b20", {"w1": "28-0316a2795cff"}, "BusSource 1-Wire 28-0316a2795cff"),
        ("pzem004t", {"bus": "rs485-0", "unit": 7}, "ModbusSource /dev/rs485 unit 7"),
        ("pzem004t", {"port": "/dev/ttyUSB1"}, "ModbusSource /dev/ttyUSB1 unit 1"),
        ("gpio_in", {"chip": "gpiochip0", "line": "GPIO17"}, "GpioSource gpiochip0 GPIO17"),
        ("wiegand", {"chip": "gpiochip0"}, "GpioSource gpiochip0"),
    ],
)
def test_each_driver_has_the_source_of_its_kind(name: str, settings: dict[str, object], expected: str) -> None:
    assert place(Catalog().get(name), **settings) == expected


def test_a_kind_that_nobody_runs_is_refused() -> None:
    driver = Driver(name="odd", title="", source="", fields={}, period_s=1.0, decoder=lambda options: Words())
    with pytest.raises(TypeError, match="Driver"):
        place(driver)


async def test_a_sensor_is_a_runner_over_its_source() -> None:
    settings = Sensor(id="a", driver="sds011", port="/dev/ttyUSB0")
    runner = factory.sensor_runner(settings, Catalog().get("sds011"), FakeContext().context, Ports())  # type: ignore[arg-type]
    assert isinstance(runner, SensorRunner)
    assert runner.health.sensor == "a"


def test_what_a_gateway_does_not_use_is_not_loaded() -> None:
    code = (
        "import sys; import agent.sensing.factory; "
        "print(sorted(n for n in sys.modules if n.startswith('agent.sensing.sources.') or n == 'drivers.sdk.gpio'))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['agent.sensing.sources.serial', 'agent.sensing.sources.source']"
