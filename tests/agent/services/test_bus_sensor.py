"""Sensors that share a bus whose calls block: in turn, each with its own time, and none starves the others."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent.core.failure import PortLost
from agent.core.settings import Sensor
from agent.edges.w1_files import W1Files
from agent.edges.worker import Worker
from agent.services import blocking_bus, sensor
from agent.services.blocking_bus import BlockingBus
from agent.services.sensor import Surroundings
from agent.services.sensors import sensor_task
from drivers.sdk.bus import I2cDriver, I2cPort, W1Driver
from drivers.sdk.contract import Driver, Field
from tests.agent.services.fakes import FakeClock, FakeStore
from tests.agent.services.test_sensor import Words
from tests.support.mosquitto import until


class FakePort:
    """An I2C bus whose devices the test gives: address -> what a read gives or does."""

    def __init__(self) -> None:
        self.devices: dict[int, Callable[[], bytes]] = {}
        self.started: list[int] = []
        self.closed = False
        self.busy = 0
        self.most = 0

    def write(self, address: int, raw: bytes) -> None:
        self.started.append(address)

    def read(self, address: int, count: int) -> bytes:
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            if address not in self.devices:
                raise OSError(121, "Remote I/O error")
            return self.devices[address]()
        finally:
            self.busy -= 1

    def write_read(self, address: int, raw: bytes, count: int) -> bytes:
        return self.read(address, count)

    def pause(self, seconds: float) -> None: ...

    def close(self) -> None:
        self.closed = True


class Device:
    """A device that is started by one write and read by one read."""

    def __init__(self, port: I2cPort, address: int) -> None:
        self._port = port
        self._address = address

    def start(self) -> None:
        self._port.write(self._address, b"\x01")

    def read(self) -> bytes:
        return self._port.read(self._address, 2)


CLIMATE = I2cDriver(
    name="climate", title="", source="", fields={"x": Field("Cel")}, period_s=0.01, decoder=lambda options: Words(),
    open=lambda port, address, options: Device(port, address), address=0x44, addresses=(0x44, 0x45), timeout_s=0.2,
)  # fmt: skip


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.port = FakePort()
        self.ports = 0
        self.absent = False
        self.buses: dict[str, Any] = {}
        self.bus: BlockingBus[FakePort] = BlockingBus("I2C 1", self._open, Worker)
        self.w1: BlockingBus[W1Files] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def _open(self) -> FakePort:
        if self.absent:
            raise PortLost("I2C bus 1 is not there")
        self.ports += 1
        return self.port

    def i2c_bus(self, number: int) -> BlockingBus[FakePort]:
        assert number == 1
        return self.bus

    def w1_bus(self) -> Any:
        return self.w1

    def worker(self, name: str) -> Worker:
        return Worker(name)

    def now(self) -> Any:
        return self.clock.stamp()

    def start(self, name: str, driver: Driver, **settings: Any) -> None:
        task = sensor_task(
            Sensor(id=name, driver=driver.name, interval_s=0.01, **settings),
            driver,
            Surroundings(self.store),
            self,  # type: ignore[arg-type]
        )
        self._tasks.append(asyncio.create_task(task.run()))

    def values(self, name: str) -> list[float]:
        return [row["x"] for row in self.store.bodies(f"telemetry/{name}")]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.bus.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "_PORT_WAIT", lambda state: 0.01)
    monkeypatch.setattr(sensor, "_SILENCE_S", 0.05)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def test_devices_of_one_bus_are_read_in_turn(bench: Bench) -> None:
    bench.port.devices = {0x44: lambda: b"20 ", 0x45: lambda: b"30 "}
    bench.start("a", CLIMATE)
    bench.start("b", CLIMATE, address=0x45)
    await until(lambda: len(bench.values("a")) >= 5 and len(bench.values("b")) >= 5)
    assert set(bench.values("a")) == {20.0}
    assert set(bench.values("b")) == {30.0}
    assert (bench.ports, bench.port.most) == (1, 1)
    assert bench.port.started == [0x44, 0x45]


async def test_a_device_that_does_not_answer_is_lost_alone_and_set_up_again_when_it_is_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.port.devices = {0x44: lambda: b"20 "}
    bench.start("a", CLIMATE)
    bench.start("b", CLIMATE, address=0x45)
    await until(lambda: len(bench.values("a")) >= 3 and bool(bench.store.announced))
    assert [(row["ev"], row["sensor"], row["why"]) for row in bench.store.announced] == [("sensor_lost", "b", "device")]
    assert "b: I2C 1:0x45 does not answer: Remote I/O error" in caplog.text
    bench.port.devices[0x45] = lambda: b"30 "
    await until(lambda: bool(bench.values("b")))
    assert bench.port.started.count(0x45) >= 2
    assert bench.port.started.count(0x44) == 1, "the neighbour was not disturbed"


async def test_a_device_with_nothing_new_is_no_failure_until_it_is_silent_for_long(bench: Bench) -> None:
    answers = [b"20 ", b"", b"21 "]
    bench.port.devices = {0x44: lambda: answers.pop(0) if answers else b""}
    bench.start("a", CLIMATE)
    await until(lambda: bench.values("a") == [20.0, 21.0])
    assert bench.store.announced == []
    await until(lambda: bool(bench.store.announced))
    assert bench.store.announced[0]["why"] == "timeout"


async def test_a_bus_that_hangs_is_opened_anew_and_at_last_left_alone(bench: Bench) -> None:
    release = threading.Event()

    def hang() -> bytes:
        release.wait()
        return b""

    bench.port.devices = {0x44: hang}
    bench.start("a", CLIMATE)
    await until(lambda: bench.ports == blocking_bus._MAX_STUCK)
    await until(lambda: bool(bench.store.announced))
    with pytest.raises(PortLost, match="hangs"):
        await bench.bus.call(lambda port: None, 1.0)
    assert threading.active_count() <= blocking_bus._MAX_STUCK + 3
    release.set()


async def test_a_bus_that_is_not_there_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.absent = True
    bench.start("a", CLIMATE)
    await until(lambda: "I2C bus 1 is not there" in caplog.text)
    bench.absent = False
    bench.port.devices = {0x44: lambda: b"20 "}
    await until(lambda: bool(bench.values("a")))


async def test_one_wire_devices_are_read_through_the_kernel_s_files(bench: Bench, tmp_path: Any) -> None:
    folder = tmp_path / "28-0316a2795cff"
    folder.mkdir()
    (folder / "w1_slave").write_text("21.5 ")
    bench.w1 = BlockingBus("1-Wire", lambda: W1Files(tmp_path), Worker)
    probe = W1Driver(name="probe", title="", source="", fields={"x": Field("Cel")}, period_s=0.01,
                     decoder=lambda options: Words(), families=("28",))  # fmt: skip
    bench.start("fridge", probe, w1="28-0316a2795cff")
    bench.start("away", probe, w1="28-000000000000")
    await until(lambda: 21.5 in bench.values("fridge"))
    await until(lambda: [(row["ev"], row["sensor"]) for row in bench.store.announced] == [("sensor_lost", "away")])
    bench.w1.close()


async def test_the_time_of_a_call_counts_from_its_turn(bench: Bench) -> None:
    def slow(port: FakePort) -> int:
        threading.Event().wait(0.15)
        return 1

    assert await asyncio.gather(*(bench.bus.call(slow, 0.3) for _ in range(4))) == [1, 1, 1, 1]
