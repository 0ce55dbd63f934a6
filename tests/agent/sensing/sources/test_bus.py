"""Devices on an I2C or 1-Wire bus: asked on time, set up again after a failure, lost alone."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.sensing.sensor_errors import PortLost
from drivers.sdk.bus import I2cDriver, I2cPort, W1Driver
from drivers.sdk.contract import Field
from tests.agent.sensing.fakes import FakeContext, Words
from tests.agent.sensing.sources.bench import Bench

CLIMATE = I2cDriver(
    name="climate",
    title="",
    source="",
    fields={"x": Field("Cel")},
    period_s=1.0,
    decoder=lambda options: Words(),
    open=lambda port, address, options: Device(port, address),
    address=0x44,
    addresses=(0x44, 0x45),
    timeout_s=0.2,
    inline=True,
)
PROBE = W1Driver(
    name="probe",
    title="",
    source="",
    fields={"x": Field("Cel")},
    period_s=5.0,
    decoder=lambda options: Words(),
    families=("28",),
    inline=True,
)


class Device:
    """A device that is started by one write and read by one read."""

    def __init__(self, port: I2cPort, address: int) -> None:
        self._port = port
        self._address = address

    def start(self) -> None:
        self._port.write(self._address, b"\x01")

    def read(self) -> bytes:
        return self._port.read(self._address, 2)


class Port:
    """The devices of a bus: what a read of one gives."""

    def __init__(self) -> None:
        self.devices: dict[object, Callable[[], bytes]] = {}
        self.started: list[object] = []

    def write(self, address: int, raw: bytes) -> None:
        self.started.append(address)

    def read(self, address: object, count: int = 0) -> bytes:
        if address not in self.devices:
            raise OSError(121, "Remote I/O error")
        return self.devices[address]()


class Buses:
    """One bus of each kind, both with the same port. ``limits_s``: how long calls may take."""

    def __init__(self) -> None:
        self.port = Port()
        self.absent = False
        self.numbers: list[int] = []
        self.limits_s: set[float] = set()

    def i2c_bus(self, number: int) -> "Buses":
        self.numbers.append(number)
        return self

    def w1_bus(self) -> "Buses":
        return self

    async def call(self, function: Callable[[Any], Any], timeout_s: float) -> Any:
        self.limits_s.add(timeout_s)
        if self.absent:
            raise PortLost("I2C bus 1 is not there")
        return function(self.port)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench(Buses(), FakeContext())
    yield bench
    await bench.stop()


async def test_a_device_is_set_up_and_read_on_time(bench: Bench) -> None:
    answers = [b"20 ", b"21 ", b"22 "]
    bench.ports.port.devices = {0x44: lambda: answers.pop(0)}
    await bench.start(CLIMATE, interval_s=10.0)
    await bench.time.advance(20.0)
    assert bench.fakes.values() == [20, 21, 22]
    assert (bench.ports.port.started, bench.ports.numbers, bench.ports.limits_s) == ([0x44], [1], {0.2})


async def test_bus_and_address_are_the_configuration_s(bench: Bench) -> None:
    bench.ports.port.devices = {0x45: lambda: b"20 "}
    await bench.start(CLIMATE, i2c_bus=0, address=0x45)
    assert (bench.ports.port.started, bench.ports.numbers, bench.fakes.values()) == ([0x45], [0], [20])


async def test_a_device_that_does_not_answer_is_lost_alone_and_set_up_again_when_it_is_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ports.port.devices = {0x44: lambda: b"20 "}
    await bench.start(CLIMATE)
    await bench.start(CLIMATE, id="b", address=0x45)
    await bench.time.advance(3.0)
    assert [(row["ev"], row["sensor"], row["why"]) for row in bench.fakes.store.announced] == [
        ("sensor_lost", "b", "device"),
    ]
    assert "b: I2C 1:0x45 does not answer: Remote I/O error" in caplog.text
    bench.ports.port.devices[0x45] = lambda: b"30 "
    await bench.time.advance(5.0)
    assert bench.fakes.rows("telemetry/b")[0] == {"x": 30}
    assert bench.ports.port.started.count(0x45) > 1
    assert bench.ports.port.started.count(0x44) == 1, "the neighbour was not disturbed"


async def test_a_device_with_nothing_new_is_no_failure_until_it_is_silent_for_long(bench: Bench) -> None:
    answers = [b"20 ", b"", b"21 "]
    bench.ports.port.devices = {0x44: lambda: answers.pop(0) if answers else b""}
    await bench.start(CLIMATE)
    await bench.time.advance(4.0)
    assert bench.fakes.values() == [20, 21]
    assert bench.fakes.events() == []
    await bench.time.advance(2.0)
    assert bench.fakes.events() == [("sensor_lost", "timeout")]


async def test_a_bus_that_is_not_there_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.ports.absent = True
    await bench.start(CLIMATE)
    assert "a: I2C bus 1 is not there" in caplog.text
    assert bench.fakes.events() == [("sensor_lost", "port")]
    bench.ports.absent = False
    bench.ports.port.devices = {0x44: lambda: b"20 "}
    await bench.time.advance(1.0)
    assert bench.fakes.values()[0] == 20


async def test_an_error_of_the_decoder_is_not_taken_for_a_device_that_is_away(bench: Bench) -> None:
    bench.ports.port.devices = {0x44: lambda: b"! "}
    await bench.start(CLIMATE)
    assert bench.fakes.events() == [("sensor_lost", "driver")]


async def test_a_one_wire_device_is_read_by_its_name(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.ports.port.devices = {"28-0316a2795cff": lambda: b"21.5 "}
    await bench.start(PROBE, w1="28-0316a2795cff")
    await bench.start(PROBE, id="b", w1="28-000000000000")
    await bench.time.advance(10.0)
    assert bench.fakes.values() == [21.5] * 3
    assert "b: 1-Wire 28-000000000000 does not answer" in caplog.text


async def test_a_decoder_hears_how_long_ago_the_device_was_set_up(bench: Bench) -> None:
    decoder = Words()
    bench.ports.port.devices = {0x44: lambda: b"20 "}
    await bench.start(replace(CLIMATE, decoder=lambda options: decoder), interval_s=10.0)
    await bench.time.advance(20.0)
    assert decoder.times_s == [0.0, 10.0, 20.0]
    assert decoder.finished == 3


async def test_an_answer_is_stamped_when_it_came(bench: Bench) -> None:
    bench.ports.port.devices = {0x44: lambda: b"20 "}
    came = bench.time.stamp()
    await bench.start(CLIMATE)
    assert bench.fakes.store.appended[0].stamp == came


async def test_it_is_not_asked_while_the_store_has_no_room(bench: Bench) -> None:
    bench.fakes.store.has_room.clear()
    bench.ports.port.devices = {0x44: lambda: b"20 "}
    await bench.start(CLIMATE, interval_s=10.0)
    await bench.time.advance(30.0)
    assert bench.fakes.values() == []
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert len(bench.fakes.rows()) == 1


async def test_answers_without_a_measurement_are_told_from_silence(bench: Bench) -> None:
    bench.ports.port.devices = {0x44: lambda: b". "}
    await bench.start(CLIMATE)
    await bench.time.advance(3.0)
    assert bench.fakes.events() == [("sensor_lost", "no_frame")]
