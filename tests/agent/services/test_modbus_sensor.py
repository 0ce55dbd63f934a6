"""Modbus units on a real pty and over TCP: in turn, through noise, and none starved by a silent neighbour."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.core.settings import Bus, Sensor
from agent.edges.catalog import Catalog
from agent.port_registry import PortRegistry
from agent.services import sensor
from agent.services.sensor import Surroundings
from agent.services.sensors import sensor_task
from drivers.sdk.contract import Driver
from drivers.sim.modbus import SimulatedModbus, SimulatedUnit
from tests.agent.services.fakes import FakeClock, FakeStore
from tests.support.mosquitto import free_port, until


class Bench:
    """Sensors over the real ports."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.ports = PortRegistry(self.clock.stamp)
        self._tasks: list[asyncio.Task[None]] = []

    def on_bus(self, port: str, **line: Any) -> None:
        self.ports.buses = {"rs485-0": Bus("rs485-0", port, **line)}

    def start(self, name: str, driver: str | Driver, **settings: Any) -> None:
        used = Catalog().get(driver) if isinstance(driver, str) else driver
        one = Sensor(id=name, driver=used.name, **{"interval_s": 0.05, **settings})
        task = sensor_task(one, used, Surroundings(self.store), self.ports)
        self._tasks.append(asyncio.create_task(task.run()))

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self.store.bodies(f"telemetry/{name}")

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.ports.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "_PORT_WAIT", lambda state: 0.01)
    monkeypatch.setattr(sensor, "_SILENCE_S", 0.3)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def test_units_of_one_line_are_asked_in_turn(bench: Bench) -> None:
    units = {1: SimulatedUnit("pzem004t"), 7: SimulatedUnit("pzem004t", lambda number: {"voltage": 231.5})}
    async with SimulatedModbus(units) as line:
        bench.on_bus(line.port)
        bench.start("mains", "pzem004t", bus="rs485-0", unit=1)
        bench.start("lamp", "pzem004t", bus="rs485-0", unit=7)
        await until(lambda: len(bench.rows("mains")) >= 3 and len(bench.rows("lamp")) >= 3)
    assert {row["voltage"] for row in bench.rows("lamp")} == {231.5}
    assert 231.5 not in {row["voltage"] for row in bench.rows("mains")}
    assert bench.store.announced == []


async def test_an_answer_with_noise_around_it_is_read(bench: Bench) -> None:
    units = {1: SimulatedUnit("pzem004t", lambda number: {"voltage": 229.9})}
    async with SimulatedModbus(units, before=b"\x00\xff", after=b"\x00") as line:
        bench.start("mains", "pzem004t", port=line.port)
        await until(lambda: len(bench.rows("mains")) >= 5)
    assert {row["voltage"] for row in bench.rows("mains")} == {229.9}
    assert all("q" not in row for row in bench.rows("mains"))


async def test_a_silent_unit_is_lost_alone_and_costs_the_others_little(bench: Bench) -> None:
    units = {1: SimulatedUnit("pzem004t"), 2: SimulatedUnit("pzem004t")}
    async with SimulatedModbus(units, silent=[2]) as line:
        bench.on_bus(line.port)
        bench.start("mains", "pzem004t", bus="rs485-0", unit=1)
        bench.start("dead", "pzem004t", bus="rs485-0", unit=2)
        await until(lambda: bool(bench.store.announced), 5)
        before = len(bench.rows("mains"))
        await asyncio.sleep(2.0)
        kept = len(bench.rows("mains")) - before
        asked = sum(unit == 2 for unit, _ in line.asked)
        line.silent.clear()
        await until(lambda: bool(bench.rows("dead")), 8)
    assert [(row["ev"], row["sensor"]) for row in bench.store.announced] == [
        ("sensor_lost", "dead"), ("sensor_recovered", "dead"),
    ]  # fmt: skip
    assert kept >= 15, "the neighbour keeps most of its rhythm (40 in 2 s alone)"
    assert asked <= 3


async def test_a_device_of_many_blocks_gives_one_reading(bench: Bench) -> None:
    values = {"voltage": 230.2, "current": 1.25, "power": 287.0, "frequency": 50.0, "energy": 12.5}
    async with SimulatedModbus({1: SimulatedUnit("sdm120", lambda number: values)}, line=None) as line:
        bench.start("meter", "sdm120", port=line.port, baud=9600, parity="N")
        await until(lambda: bool(bench.rows("meter")))
    assert bench.rows("meter")[0] == pytest.approx(values, rel=1e-3)


async def test_a_wrong_line_rate_is_told_as_garbage_or_silence(bench: Bench) -> None:
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}) as line:
        bench.start("mains", "pzem004t", port=line.port, baud=4800)
        await until(lambda: bool(bench.store.announced), 5)
    assert bench.rows("mains") == []


async def test_a_line_that_is_unplugged_is_opened_again(bench: Bench, tmp_path: Any) -> None:
    link = tmp_path / "ttyUSB0"
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}, link=link):
        bench.start("mains", "pzem004t", port=str(link))
        await until(lambda: bool(bench.rows("mains")))
    await until(lambda: [row["ev"] for row in bench.store.announced] == ["sensor_lost"])
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}, link=link):
        await until(lambda: [row["ev"] for row in bench.store.announced] == ["sensor_lost", "sensor_recovered"])


async def test_modbus_tcp_is_read_from_another_maker_s_server(bench: Bench) -> None:
    port = free_port()
    registers = SimData(0, values=[2305, 0x1234, 0x0001], datatype=DataType.REGISTERS)
    server = ModbusTcpServer([SimDevice(5, simdata=[registers])], address=("127.0.0.1", port))
    serving = asyncio.create_task(server.serve_forever())
    tables = {
        "reads": [{"function": 3, "address": 0, "count": 3}],
        "fields": {
            "voltage": {"register": 0, "type": "u16", "scale": 0.1, "unit": "V"},
            "energy": {"register": 1, "type": "u32", "word_order": "low", "unit": "Wh", "kind": "counter"},
        },
    }
    generic = Catalog().get("modbus_tcp").table
    assert generic is not None
    bench.start("meter", generic(tables), port=f"127.0.0.1:{port}", unit=5)
    await until(lambda: len(bench.rows("meter")) >= 3)
    before = len(bench.store.announced)
    await server.shutdown()
    await asyncio.gather(serving, return_exceptions=True)
    assert bench.rows("meter")[0] == {"voltage": 230.5, "energy": 0x0001_1234}
    await until(lambda: [row["ev"] for row in bench.store.announced[before:]] == ["sensor_lost"])
