"""Sensors on an I2C bus of a real kernel: i2c-stub answers for the devices, with the registers that a test writes."""

import asyncio
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from smbus2 import SMBus

from agent.base.io.worker import Worker
from agent.config.io.catalog import Catalog
from agent.config.settings import Sensor
from agent.sensing.context import LoopTime, SensorContext
from agent.sensing.factory import sensor_runner
from agent.sensing.io.i2c_bus import I2cPort
from agent.sensing.sensor_errors import PortLost
from agent.sensing.sources.blocking_bus import BlockingBus
from drivers.mlx90614 import pec
from drivers.sim.encoders import BME280_CALIBRATION, bme280_values
from tests.agent.fakes import FakeClock, FakeStore
from tests.support.gpio_chips import ON_A_KERNEL
from tests.support.mosquitto import until

BME280, MLX90614, ABSENT = 0x76, 0x5A, 0x44
ROOM = {"temp": 28.4, "rh": 71.0, "pressure": 1008.5}

pytestmark = pytest.mark.skipif(not ON_A_KERNEL, reason="there is no I2C bus")


@pytest.fixture(scope="module")
def number() -> int:
    """The number of the bus."""
    module = Path(os.environ["GARDU_KERNEL"]) / "i2c-stub.ko"
    subprocess.run(["insmod", module, f"chip_addr={BME280},{MLX90614}"], check=True)
    (name,) = (
        name for name in Path("/sys/bus/i2c/devices").glob("i2c-*/name") if name.read_text().startswith("SMBus stub")
    )
    return int(name.parent.name.removeprefix("i2c-"))


@pytest.fixture
def port(number: int) -> Iterator[I2cPort]:
    port = I2cPort(number)
    yield port
    port.close()


def set_registers(number: int, address: int, first: int, content: bytes) -> None:
    with SMBus(number) as bus:
        for register, value in enumerate(content, first):
            bus.write_byte_data(address, register, value)


@pytest.fixture
def bme280(number: int) -> None:
    for first, content in (
        (0xD0, b"\x60"),
        (0x88, BME280_CALIBRATION[:26]),
        (0xE1, BME280_CALIBRATION[26:]),
        (0xF3, b"\x00"),
        (0xF7, bme280_values(ROOM)),
    ):
        set_registers(number, BME280, first, content)


@pytest.fixture
def mlx90614(number: int) -> dict[str, float]:
    """Registers of an MLX90614, and what they mean.

    Its registers are words, each with a check behind it; here they are bytes, so that the answers for 0x06 and 0x07
    overlap in two of their three. Some temperatures suit both: the check of one is the high byte of the other.
    """
    for low in range(256):
        for high in range(0x38, 0x40):
            ambient = bytes((low, high))
            surface = bytes((high, pec(MLX90614, 0x06, ambient)))
            if 0x38 <= surface[1] < 0x40:
                set_registers(number, MLX90614, 0x06, ambient + surface[1:] + bytes((pec(MLX90614, 0x07, surface),)))
                words = {"ambient_temp": ambient, "object_temp": surface}
                return {name: int.from_bytes(word, "little") * 0.02 - 273.15 for name, word in words.items()}
    raise AssertionError("no temperatures suit both")


class Wiring:
    """The sensors' way to the kernel's bus."""

    def __init__(self) -> None:
        self.now = FakeClock().stamp
        self._buses: dict[int, BlockingBus[I2cPort]] = {}

    def worker(self, name: str) -> Worker:
        return Worker(name)

    def i2c_bus(self, number: int) -> BlockingBus[I2cPort]:
        return self._buses.setdefault(number, BlockingBus(f"I2C {number}", lambda: I2cPort(number), Worker))

    def close(self) -> None:
        for bus in self._buses.values():
            bus.close()


@asynccontextmanager
async def running(*sensors: Sensor) -> AsyncIterator[FakeStore]:
    """Sensors at work on one bus."""
    store, wiring = FakeStore(FakeClock()), Wiring()
    catalog = Catalog(Path("/nowhere"))
    context = SensorContext(store, wiring.now, wiring.worker, LoopTime())
    tasks = [asyncio.create_task(sensor_runner(one, catalog.get(one.driver), context, wiring).run()) for one in sensors]
    try:
        yield store
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        wiring.close()


def sensor(driver: str, number: int, **more: Any) -> Sensor:
    return Sensor(id=driver, driver=driver, i2c_bus=number, interval_s=0.05, **more)


async def test_what_the_registers_hold_is_what_is_published(
    number: int, bme280: None, mlx90614: dict[str, float]
) -> None:
    async with running(sensor("bme280", number), sensor("mlx90614", number)) as store:
        await until(lambda: all(len(store.bodies(f"telemetry/{one}")) > 1 for one in ("bme280", "mlx90614")))
    assert store.bodies("telemetry/bme280")[-1] == pytest.approx(ROOM, abs=0.02)
    assert store.bodies("telemetry/mlx90614")[-1] == pytest.approx(mlx90614, abs=0.006)
    assert store.announced == []


async def test_a_wrong_check_is_no_reading(number: int, port: I2cPort, mlx90614: dict[str, float]) -> None:
    (check,) = port.write_read(MLX90614, b"\x09", 1)
    set_registers(number, MLX90614, 0x09, bytes((check ^ 1,)))
    async with running(sensor("mlx90614", number)) as store:
        await until(lambda: len(store.bodies("telemetry/mlx90614")) > 1)
    assert store.bodies("telemetry/mlx90614")[-1] == pytest.approx(
        {"ambient_temp": mlx90614["ambient_temp"]}, abs=0.006
    )


async def test_an_absent_device_is_told_in_one_line_and_holds_nobody_up(
    number: int, bme280: None, caplog: pytest.LogCaptureFixture
) -> None:
    absent = sensor("sht3x", number, address=ABSENT)
    with caplog.at_level(logging.WARNING):
        async with running(absent, sensor("bme280", number)) as store:
            await until(lambda: len(store.bodies("telemetry/bme280")) > 9 and store.announced)
    assert [record.getMessage() for record in caplog.records] == [
        f"sht3x: I2C {number}:0x44 does not answer: No such device"
    ]
    assert [(row["ev"], row["sensor"]) for row in store.announced] == [("sensor_lost", "sht3x")]


async def test_another_chip_at_the_address_is_told(number: int, bme280: None, caplog: pytest.LogCaptureFixture) -> None:
    set_registers(number, BME280, 0xD0, b"\x55")
    with caplog.at_level(logging.WARNING):
        async with running(sensor("bme280", number)) as store:
            await until(lambda: store.announced)
    assert caplog.messages == [f"bme280: I2C {number}:0x76 does not answer: not a BME280 or BMP280: its id is 0x55"]


def test_writes_arrive(port: I2cPort) -> None:
    port.write(BME280, b"\xf4\x25\x07")
    assert port.write_read(BME280, b"\xf4", 2) == b"\x25\x07"
    port.write(BME280, b"\xf5")
    assert port.read(BME280, 1) == b"\x07", "the register that was named last"


def test_what_the_adapter_cannot_do_is_an_error_of_the_call(port: I2cPort) -> None:
    with pytest.raises(OSError, match="not supported"):
        port.write_read(BME280, b"\x24\x00", 6)


def test_a_bus_that_is_not_there_says_so() -> None:
    with pytest.raises(PortLost, match=r"^I2C bus 99 is not there: is I2C switched on\?$"):
        I2cPort(99)
