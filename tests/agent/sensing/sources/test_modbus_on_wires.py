"""Modbus units on a real pty, and over TCP from another maker's server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.config.io.catalog import Catalog
from agent.config.settings import Bus, Sensor
from agent.sensing.context import LoopTime, SensorContext, SensorLimits
from agent.sensing.factory import sensor_runner
from drivers.sdk.contract import Driver
from drivers.sim.modbus import SimulatedModbus, SimulatedUnit
from tests.agent.fakes import FakeClock, FakeStore
from tests.agent.sensing.real_ports import RealPorts
from tests.support.generic_drivers import built
from tests.support.mosquitto import free_port, until

QUICK = SensorLimits(silence_s=0.3, port_backoff_s=(0.01, 0.01))


class Bench:
    """Sensors over real ports."""

    def __init__(self, folder: Path) -> None:
        clock = FakeClock()
        self.store = FakeStore(clock)
        self.ports = RealPorts(folder, None)
        self._context = SensorContext(self.store, clock.stamp, self.ports.worker, LoopTime(), limits=QUICK)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, driver: str | Driver, **settings: Any) -> None:
        used = Catalog().get(driver) if isinstance(driver, str) else driver
        sensor = Sensor(id=name, driver=used.name, **{"interval_s": 0.05, **settings})
        runner = sensor_runner(sensor, used, self._context, self.ports)
        self._tasks.append(asyncio.create_task(runner.run()))

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self.store.bodies(f"telemetry/{name}")

    def events(self) -> list[object]:
        return [row["ev"] for row in self.store.announced]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.ports.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.stop()


async def test_units_of_one_line_are_asked_in_turn_through_noise(bench: Bench) -> None:
    units = {1: SimulatedUnit("pzem004t"), 7: SimulatedUnit("pzem004t", lambda number: {"voltage": 231.5})}
    async with SimulatedModbus(units, before=b"\x00\xff", after=b"\x00") as line:
        bench.ports.buses["rs485-0"] = Bus("rs485-0", line.port)
        bench.start("mains", "pzem004t", bus="rs485-0", unit=1)
        bench.start("lamp", "pzem004t", bus="rs485-0", unit=7)
        await until(lambda: len(bench.rows("mains")) >= 3 and len(bench.rows("lamp")) >= 3)
    assert {row["voltage"] for row in bench.rows("lamp")} == {231.5}
    assert 231.5 not in {row["voltage"] for row in bench.rows("mains")}
    assert all("q" not in row for row in bench.rows("mains"))


async def test_a_device_of_many_blocks_gives_one_reading(bench: Bench) -> None:
    values = {"voltage": 230.2, "current": 1.25, "power": 287.0, "frequency": 50.0, "energy": 12.5}
    async with SimulatedModbus({1: SimulatedUnit("sdm120", lambda number: values)}) as line:
        bench.start("meter", "sdm120", port=line.port, baud=9600, parity="N")
        await until(lambda: bool(bench.rows("meter")))
    assert bench.rows("meter")[0] == pytest.approx(values, rel=1e-3)


async def test_a_wrong_line_rate_is_a_loss(bench: Bench) -> None:
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}) as line:
        bench.start("mains", "pzem004t", port=line.port, baud=4800)
        await until(lambda: bench.events() == ["sensor_lost"])
    assert bench.rows("mains") == []


async def test_a_line_that_is_unplugged_is_opened_again(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "ttyUSB0"
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}, link=link):
        bench.start("mains", "pzem004t", port=str(link))
        await until(lambda: bool(bench.rows("mains")))
    await until(lambda: bench.events() == ["sensor_lost"])
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}, link=link):
        await until(lambda: bench.events() == ["sensor_lost", "sensor_recovered"])


async def test_modbus_tcp_is_read_from_another_maker_s_server(bench: Bench) -> None:
    port = free_port()
    registers = SimData(0, values=[2305, 0x1234, 0x0001], datatype=DataType.REGISTERS)
    server = ModbusTcpServer([SimDevice(5, simdata=[registers])], address=("127.0.0.1", port))
    serving = asyncio.create_task(server.serve_forever())
    fields = {
        "voltage": {"register": 0, "type": "u16", "scale": 0.1, "unit": "V"},
        "energy": {"register": 1, "type": "u32", "word_order": "low", "unit": "Wh", "kind": "counter"},
    }
    tables = {"reads": [{"function": 3, "address": 0, "count": 3}], "fields": fields}
    driver = built(Catalog().get("modbus_tcp"), tables)
    bench.start("meter", driver, port=f"127.0.0.1:{port}", unit=5)
    await until(lambda: len(bench.rows("meter")) >= 3)
    before = len(bench.events())
    await server.shutdown()
    await asyncio.gather(serving, return_exceptions=True)
    assert bench.rows("meter")[0] == {"voltage": 230.5, "energy": 0x0001_1234}
    await until(lambda: bench.events()[before:] == ["sensor_lost"])
