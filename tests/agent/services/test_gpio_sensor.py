"""Lines: edges with the kernel's times, lost ones counted, totals that survive a restart."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from agent.core.failure import PortLost
from agent.core.settings import Sensor
from agent.edges.worker import Worker
from agent.services import sensor
from agent.services.gpio_sensor import LineRequest
from agent.services.sensor import SensorTask, Surroundings
from agent.services.sensors import sensor_task
from drivers.sdk.contract import Driver, Field, Item, Measurement, Option
from drivers.sdk.edges import Unhurried
from drivers.sdk.gpio import Edge, GpioDriver
from tests.agent.services.fakes import FakeClock, FakeStore
from tests.support.mosquitto import until


class Change(NamedTuple):
    at_s: float
    role: str
    level: int
    lost: int = 0


class FakeLines:
    """Lines whose edges the test makes."""

    def __init__(self, clock: FakeClock, levels: Mapping[str, int]) -> None:
        self._clock = clock
        self._levels = levels
        self._edges: deque[Change] = deque()
        self._news = asyncio.Event()
        self.gone = False
        self.closed = False
        self.stuck = False

    def levels(self) -> Mapping[str, int]:
        return self._levels

    def now_s(self) -> float:
        return self._clock.now_s

    def drive(self, level: int) -> None:
        if self.gone:
            raise PortLost("the chip is gone")
        if not self.stuck:
            self._levels = dict.fromkeys(self._levels, level)

    def change(self, *edges: Change) -> None:
        self._edges.extend(edges)
        self._news.set()

    async def edges(self, timeout_s: float) -> Sequence[Change]:
        if timeout_s > 0:
            await self._news.wait()
        self._news.clear()
        if self.gone:
            raise PortLost("the chip is gone")
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def close(self) -> None:
        self.closed = True


class Counter(Unhurried):
    """Counts rising edges and tells each change as an event."""

    def __init__(self) -> None:
        self.count = 0
        self.dropped = 0

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        return [Measurement({"state": bool(levels["line"])})]

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        self.count += sum(edge.level for edge in edges)
        return [Measurement({"count": self.count}, event="on" if edge.level else "off") for edge in edges]

    def lost(self, line: str, count: int) -> list[Item]:
        self.dropped += count
        return []

    def sample(self, at_s: float) -> list[Item]:
        return [Measurement({"count": self.count})]

    def totals(self) -> Mapping[str, int]:
        return {"count": self.count}

    def restore(self, totals: Mapping[str, int]) -> None:
        self.count = totals.get("count", 0)


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.buses: dict[str, Any] = {}
        self.requests: list[tuple[str, Mapping[str, LineRequest], int | None]] = []
        self.lines: list[FakeLines] = []
        self.absent = False
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> Any:
        return self.clock.stamp()

    def worker(self, name: str) -> Worker:
        return Worker(name)

    def open_lines(self, chip: str, lines: Mapping[str, LineRequest], output: int | None) -> FakeLines:
        if self.absent:
            raise PortLost("there is no GPIO chip gpiochip0")
        self.requests.append((chip, lines, output))
        self.lines.append(FakeLines(self.clock, dict.fromkeys(lines, 1)))
        return self.lines[-1]

    def start(self, driver: Driver, **settings: Any) -> SensorTask:
        one = Sensor(id="door-1", driver="contact", **{"chip": "gpiochip0", "line": "GPIO17", **settings})
        task = sensor_task(one, driver, Surroundings(self.store), self)  # type: ignore[arg-type]
        self._tasks.append(asyncio.create_task(task.run()))
        return task

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


def contact(**more: Any) -> GpioDriver:
    fields = {"state": Field(kind="state"), "count": Field("count", kind="counter")}
    settings: dict[str, Any] = {"name": "contact", "title": "", "source": "", "fields": fields, "period_s": 0.0,
                                "edges": lambda options: Counter()}  # fmt: skip
    return GpioDriver(**{**settings, **more})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "_PORT_WAIT", lambda state: 0.01)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def test_lines_are_asked_for_as_configured(bench: Bench) -> None:
    options = {"line_a": Option("line"), "line_b": Option("line"), "bias": Option("str")}
    bench.start(
        contact(lines=("a", "b"), options=options, debounce_ms=20.0, edges=lambda _: Unhurried()),
        active_low=True, options={"line_a": 5, "line_b": "GPIO6", "bias": "pull_up"},
    )  # fmt: skip
    await until(lambda: bool(bench.requests))
    assert bench.requests == [(
        "gpiochip0",
        {"a": LineRequest(5, "both", "pull_up", True, 20.0), "b": LineRequest("GPIO6", "both", "pull_up", True, 20.0)},
        None,
    )]  # fmt: skip


async def test_an_edge_is_an_event_at_the_kernel_s_time(bench: Bench) -> None:
    bench.start(contact())
    await until(lambda: bool(bench.lines))
    bench.lines[0].change(Change(bench.clock.now_s - 0.25, "line", 1))
    await until(lambda: bool(bench.store.bodies("event/door-1")))
    (reading,) = [one for one in bench.store.appended if one.stream == "event/door-1"]
    assert bench.store.bodies("event/door-1") == [{"ev": "on", "sev": "info", "count": 1}]
    assert reading.urgent
    assert (reading.stamp.t, reading.stamp.mono_ms) == (bench.clock.stamp().t - 250, bench.clock.mono_ms() - 250)
    assert bench.store.bodies("telemetry/door-1") == [{"state": True}], "how the line stands is told at the start"


async def test_lost_edges_are_counted_and_told(bench: Bench) -> None:
    counter = Counter()
    bench.start(contact(edges=lambda options: counter))
    await until(lambda: bool(bench.lines))
    bench.lines[0].change(Change(bench.clock.now_s, "line", 1, lost=7))
    await until(lambda: counter.count == 1)
    await until(lambda: len(bench.store.bodies("telemetry/door-1")) == 2)
    assert counter.dropped == 7, "and how the line stands was looked at again"
    (lost,) = [row for row in bench.store.announced if row["ev"] == "rows_lost"]
    assert (lost["stream"], lost["n"], lost["why"]) == ("event/door-1", 7, "edges")


async def test_totals_survive_a_restart(bench: Bench) -> None:
    bench.start(contact())
    await until(lambda: bool(bench.lines))
    bench.lines[0].change(*[Change(bench.clock.now_s, "line", 1)] * 3)
    await until(lambda: bench.store.remembered.get("totals.door-1") == '{"count": 3}')
    await bench.stop()
    assert bench.lines[0].closed
    bench.start(contact())
    await until(lambda: len(bench.lines) == 2)
    bench.lines[1].change(Change(bench.clock.now_s, "line", 1))
    await until(lambda: bench.store.bodies("event/door-1")[-1]["count"] == 4)


async def test_totals_that_cannot_be_read_begin_anew(bench: Bench) -> None:
    bench.store.remembered["totals.door-1"] = '{"count": "many"'
    bench.start(contact())
    await until(lambda: bool(bench.lines))
    bench.lines[0].change(Change(bench.clock.now_s, "line", 1))
    await until(lambda: bool(bench.store.bodies("event/door-1")))
    assert bench.store.bodies("event/door-1")[0]["count"] == 1


async def test_what_stands_is_told_every_interval(bench: Bench) -> None:
    bench.start(contact(), interval_s=60.0)
    await until(lambda: len(bench.store.bodies("telemetry/door-1")) == 1)
    for minutes in range(2):
        bench.clock.now_s += 60.0
        bench.lines[0].change()
        await until(lambda expected=2 + minutes: len(bench.store.bodies("telemetry/door-1")) == expected)


async def test_a_chip_that_goes_away_is_asked_for_again(bench: Bench) -> None:
    bench.start(contact())
    await until(lambda: bool(bench.lines))
    bench.absent = True
    bench.lines[0].gone = True
    bench.lines[0].change()
    await until(lambda: any(row["ev"] == "sensor_lost" for row in bench.store.announced))
    bench.absent = False
    await until(lambda: len(bench.lines) == 2)
    await until(lambda: any(row["ev"] == "sensor_recovered" for row in bench.store.announced))
    assert [row["ev"] for row in bench.store.announced] == ["sensor_lost", "sensor_recovered"]


async def test_an_output_is_driven_low_at_first(bench: Bench) -> None:
    bench.start(contact(output=True))
    await until(lambda: bool(bench.requests))
    assert bench.requests[0][2] == 0


async def test_an_output_is_set_and_its_state_is_told_at_once_as_it_is_read_back(bench: Bench) -> None:
    siren = bench.start(contact(output=True))
    await until(lambda: bool(bench.store.bodies("telemetry/door-1")))
    for on in (False, True, True):
        siren.switch(on)
    assert bench.lines[0].levels() == {"line": 1}
    bench.lines[0].stuck = True
    siren.switch(False)
    assert bench.store.bodies("telemetry/door-1")[1:] == [{"state": one} for one in (False, True, True, True)]
    assert all(one.urgent for one in bench.store.appended)


async def test_what_cannot_be_set_says_why(bench: Bench) -> None:
    contact_in = bench.start(contact())
    await until(lambda: bool(bench.lines))
    with pytest.raises(LookupError, match="door-1 is no output"):
        contact_in.switch(True)
    bench.absent = True
    siren = bench.start(contact(output=True))
    with pytest.raises(LookupError, match="door-1 is not there now"):
        siren.switch(True)
    bench.absent = False
    await until(lambda: len(bench.lines) == 2)
    await until(lambda: len(bench.store.bodies("telemetry/door-1")) == 2)
    bench.lines[1].gone = True
    with pytest.raises(LookupError, match="the chip is gone"):
        siren.switch(True)
    await bench.stop()
    with pytest.raises(LookupError, match="door-1 is not there now"):
        siren.switch(True)
