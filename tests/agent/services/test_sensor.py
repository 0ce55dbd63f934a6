"""A sensor fails alone, is told lost once and back once, and comes back."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest

from agent.core.failure import PortLost
from agent.core.settings import Sensor
from agent.edges.worker import Worker
from agent.services import sensor, serial_sensor
from agent.services.sensor import Surroundings
from agent.services.sensors import sensor_task
from drivers.sdk.contract import (
    Decoder,
    Driver,
    Field,
    Item,
    LineSettings,
    Measurement,
    Options,
    PollDriver,
    Rejected,
    SerialDriver,
)
from tests.agent.services.fakes import FakeClock, FakeStore
from tests.support.mosquitto import until


class Words:
    """A decoder for tests: a number is a measurement, ``?`` a bad frame, ``!`` makes it raise, ``z`` makes it hang."""

    skipped = 0

    def __init__(self, hang: threading.Event | None = None) -> None:
        self._hang = hang or threading.Event()
        self._rest = b""
        self.finished = 0

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        *words, self._rest = (self._rest + chunk).split(b" ")
        items: list[Item] = []
        for word in words:
            if word == b"!":
                raise ValueError("a driver's own fault")
            if word == b"z":
                self._hang.wait()
            items.append(Rejected("checksum") if word == b"?" else Measurement({"x": float(word)}))
        return items

    def finish(self, at_s: float) -> list[Item]:
        self.finished += 1
        self._rest = b""
        return []


class FakeLink:
    """A port whose bytes the test writes; ``break_`` unplugs it."""

    def __init__(self, settings: LineSettings) -> None:
        self.settings = settings
        self.written: list[bytes] = []
        self.closed = False
        self._chunks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._broken = False
        self.answer: Callable[[bytes], bytes] = lambda request: b""

    def say(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._news.set()

    def break_(self) -> None:
        self._broken = True
        self._news.set()

    async def read(self, timeout_s: float) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._news.wait()
        if self._chunks:
            chunk = self._chunks.popleft()
            if not self._chunks and not self._broken:
                self._news.clear()
            return chunk
        if self._broken:
            raise PortLost("unplugged")
        return b""

    async def write(self, raw: bytes) -> None:
        self.written.append(raw)
        answer = self.answer(raw)
        if answer:
            self.say(answer)

    def close(self) -> None:
        self.closed = True


class FakeEdges:
    """Opens :class:`FakeLink` by name; a name in ``absent`` is not there."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.buses: dict[str, Any] = {}
        self.links: list[FakeLink] = []
        self.absent: set[str] = set()
        self.tries = 0
        self.answer: Callable[[bytes], bytes] = lambda request: b""

    def open_port(self, name: str, line: LineSettings) -> FakeLink:
        self.tries += 1
        if name in self.absent:
            raise PortLost(f"port {name} is not there")
        self.links.append(FakeLink(line))
        self.links[-1].answer = self.answer
        return self.links[-1]

    def worker(self, name: str) -> Worker:
        return Worker(name)

    def now(self) -> Any:
        return self.clock.stamp()


def words(**more: Any) -> SerialDriver:
    settings: dict[str, Any] = {
        "name": "words", "title": "", "source": "", "fields": {"x": Field("Cel", resolution=0.1, max=100)},
        "period_s": 1.0, "decoder": lambda options: Words(), "inline": True,
    }  # fmt: skip
    return SerialDriver(**{**settings, **more})


class Bench:
    """Runs one sensor over fakes."""

    def __init__(self) -> None:
        self.edges = FakeEdges()
        self.store = FakeStore(self.edges.clock)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, driver: Driver, **settings: Any) -> asyncio.Task[None]:
        one = sensor_task(
            Sensor(id="a", driver=driver.name, port="/dev/a", **settings), driver, Surroundings(self.store), self.edges
        )
        self.task = one
        self._tasks.append(asyncio.create_task(one.run()))
        return self._tasks[-1]

    @property
    def link(self) -> FakeLink:
        return self.edges.links[-1]

    async def opened(self, count: int = 1) -> None:
        await until(lambda: len(self.edges.links) >= count)

    def readings(self) -> list[Any]:
        return [row["x"] for row in self.store.bodies("telemetry/a")]

    def events(self) -> list[tuple[str, Any]]:
        return [(row["ev"], row.get("why")) for row in self.store.announced]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of the module, a hundred times shorter."""
    for module, name in ((serial_sensor, "_QUIET_S"), (serial_sensor, "_REOPEN_S"), (serial_sensor, "_DECODE_S"),
                         (sensor, "_SILENCE_S")):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name) / 100)
    monkeypatch.setattr(sensor, "_PORT_WAIT", lambda state: 0.01)
    monkeypatch.setattr(sensor, "_FAULT_WAIT", lambda state: 0.01)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def test_measurements_become_readings_and_the_first_is_urgent(bench: Bench) -> None:
    bench.start(words())
    await bench.opened()
    bench.link.say(b"1 2 ")
    bench.link.say(b"3 400 ")
    await until(lambda: len(bench.readings()) == 4)
    assert bench.readings() == [1.0, 2.0, 3.0, None]
    assert bench.store.bodies("telemetry/a")[3] == {"x": None, "q": {"x": "bad:range"}}
    assert [one.urgent for one in bench.store.appended] == [True, False, False, False]
    assert bench.store.appended[0].stamp == bench.edges.clock.stamp()
    assert bench.events() == []


async def test_an_interval_thins_a_streaming_device(bench: Bench) -> None:
    bench.start(words(), interval_s=3600.0)
    await bench.opened()
    bench.link.say(b"1 2 3 ")
    await until(lambda: bench.task.health.quiet_since_s() > 0 and bench.readings() == [1.0])
    await bench.stop()
    assert bench.readings() == [1.0]


async def test_a_port_that_is_absent_is_told_once_and_opened_when_it_comes(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.edges.absent.add("/dev/a")
    bench.start(words())
    await until(lambda: bench.edges.tries >= 5)
    assert bench.events() == [("sensor_lost", "port")]
    bench.edges.absent.clear()
    await bench.opened()
    bench.link.say(b"1 ")
    await until(lambda: bench.readings() == [1.0])
    assert bench.events() == [("sensor_lost", "port"), ("sensor_recovered", None)]
    assert caplog.text.count("is not there") == 1


async def test_an_unplugged_port_is_closed_and_opened_again(bench: Bench) -> None:
    bench.start(words())
    await bench.opened()
    bench.link.say(b"1 ")
    await until(lambda: bench.readings() == [1.0])
    first = bench.link
    first.break_()
    await bench.opened(2)
    assert first.closed
    bench.link.say(b"2 ")
    await until(lambda: bench.readings() == [1.0, 2.0])
    assert [name for name, _ in bench.events()] == ["sensor_lost", "sensor_recovered"]


async def test_a_silent_device_is_lost_once_and_its_port_opened_anew(bench: Bench) -> None:
    bench.start(words(period_s=0.001))
    await bench.opened()
    bench.link.say(b"1 ")
    await bench.opened(3)
    assert bench.events() == [("sensor_lost", "timeout")]
    bench.link.say(b"2 ")
    await until(lambda: len(bench.events()) == 2)
    assert bench.events()[1][0] == "sensor_recovered"


async def test_garbage_is_told_by_its_reason_and_counted(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.start(words(period_s=0.001))
    await bench.opened()

    async def babble() -> None:
        while True:
            bench.link.say(b"? ? ")
            await asyncio.sleep(0.005)

    task = asyncio.create_task(babble())
    await until(lambda: bench.events() == [("sensor_lost", "checksum")])
    task.cancel()
    assert bench.task.health.rejected > 2
    assert "only garbage comes from /dev/a (checksum)" in caplog.text


async def test_a_pause_ends_a_frame(bench: Bench) -> None:
    decoder = Words()
    bench.start(words(decoder=lambda options: decoder))
    await bench.opened()
    bench.link.say(b"12")
    await until(lambda: decoder.finished == 1)
    bench.link.say(b"3 ")
    await until(lambda: bench.readings() == [3.0])


async def test_a_polled_device_is_asked_and_missed_answers_are_a_loss(bench: Bench) -> None:
    bench.edges.answer = lambda request: b"7 "
    bench.start(words(request=b"ask", setup=(b"hello",), timeout_s=0.01), interval_s=0.01)
    await until(lambda: len(bench.readings()) >= 3)
    assert bench.link.written[:2] == [b"hello", b"ask"]
    bench.link.answer = lambda request: b""
    await until(lambda: bench.events() == [("sensor_lost", "timeout")])
    bench.link.answer = lambda request: b"8 "
    await until(lambda: 8.0 in bench.readings())
    assert bench.events()[-1][0] == "sensor_recovered"


async def test_the_configuration_s_line_settings_beat_the_driver_s(bench: Bench) -> None:
    bench.start(words(line=LineSettings(2400, "E", 1, 7)), baud=9600, parity="N")
    await bench.opened()
    assert bench.link.settings == LineSettings(9600, "N", 1, 7)


@pytest.mark.parametrize("inline", [True, False])
async def test_a_driver_that_raises_is_started_again_and_told_in_one_line(
    bench: Bench, inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bench.start(words(inline=inline))
    await bench.opened()
    bench.link.say(b"1 ! ")
    await bench.opened(2)
    assert bench.events() == [("sensor_lost", "driver")]
    assert 'driver words raised ValueError("a driver\'s own fault") (' in caplog.text
    assert "Traceback" not in caplog.text
    bench.link.say(b"2 ")
    await until(lambda: bench.readings() == [2.0])
    assert bench.events()[-1][0] == "sensor_recovered"


async def test_a_driver_that_never_returns_is_left_behind_and_at_last_switched_off(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    task = bench.start(words(inline=False, decoder=lambda options: Words(release)))
    for count in range(1, 4):
        await bench.opened(count)
        bench.link.say(b"z ")
    await asyncio.wait_for(task, 5)
    assert bench.events() == [("sensor_lost", "driver")]
    assert "hangs again and again; it is switched off" in caplog.text
    release.set()


async def test_other_sensors_keep_their_rhythm_while_one_hangs(bench: Bench) -> None:
    release = threading.Event()
    bench.start(words(inline=False, decoder=lambda options: Words(release)))
    await bench.opened()
    bench.link.say(b"z ")
    loop = asyncio.get_running_loop()
    times = [loop.time()]
    for _ in range(20):
        await asyncio.sleep(0.005)
        times.append(loop.time())
    assert max(after - before for before, after in pairwise(times)) < 0.5
    release.set()


class Thermometer:
    """A reader for tests: gives what the test put in, raises what it put in, hangs on ``None``."""

    def __init__(self, answers: list[Any], release: threading.Event) -> None:
        self.answers = answers
        self.release = release
        self.closed = 0

    def read(self) -> bytes:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            self.release.wait()
            return b""
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)

    def close(self) -> None:
        self.closed += 1


def polled(reader: Thermometer) -> PollDriver:
    def open_decoder(options: Options) -> Decoder:
        return Words()

    return PollDriver(
        name="thermometer", title="", source="", fields={"x": Field("Cel")}, period_s=60.0, decoder=open_decoder,
        reader=lambda options: reader, timeout_s=0.05,
    )  # fmt: skip


async def test_something_that_is_read_by_a_blocking_call_is_read_on_time(bench: Bench) -> None:
    reader = Thermometer([b"20 ", b"21 ", b"22 "], threading.Event())
    bench.start(polled(reader), interval_s=0.01)
    await until(lambda: len(bench.readings()) >= 3)
    assert bench.readings()[:3] == [20.0, 21.0, 22.0]
    await bench.stop()
    await until(lambda: reader.closed == 1)


async def test_a_device_that_does_not_answer_is_lost_and_back(bench: Bench) -> None:
    reader = Thermometer([b"20 ", OSError(121, "Remote I/O error"), b"21 "], threading.Event())
    bench.start(polled(reader), interval_s=0.01)
    await until(lambda: 21.0 in bench.readings())
    assert bench.events() == [("sensor_lost", "device"), ("sensor_recovered", None)]


async def test_a_blocking_call_that_never_returns_is_a_fault_of_its_sensor_alone(bench: Bench) -> None:
    release = threading.Event()
    task = bench.start(polled(Thermometer([None], release)), interval_s=0.01)
    await asyncio.wait_for(task, 5)
    assert bench.events() == [("sensor_lost", "driver")]
    release.set()
