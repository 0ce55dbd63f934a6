"""Lines: edges with the kernel's times, lost ones counted, totals that survive a restart, outputs."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from agent.core.failure import PortLost
from agent.services.sensing.sources.gpio import LineRequest
from drivers.sdk.contract import Field, Item, Measurement, Option
from drivers.sdk.edges import Unhurried
from drivers.sdk.gpio import Edge, GpioDriver
from tests.agent.services.sensing.fakes import FakeContext, FakeTime, Hang
from tests.agent.services.sensing.sources.bench import Bench


class Change(NamedTuple):
    at_s: float
    role: str
    level: int
    lost: int = 0


class Lines:
    """Lines whose edges the test makes. Their clock is the fake time."""

    def __init__(self, time: FakeTime, levels: Mapping[str, int]) -> None:
        self._time = time
        self._levels = levels
        self._edges: deque[Change] = deque()
        self._news = asyncio.Event()
        self.waits_s: list[float] = []
        self.gone = self.closed = self.stuck = False

    def levels(self) -> Mapping[str, int]:
        return self._levels

    def now_s(self) -> float:
        return self._time.now_s()

    def drive(self, level: int) -> None:
        if self.gone:
            raise PortLost("the chip is gone")
        if not self.stuck:
            self._levels = dict.fromkeys(self._levels, level)

    def change(self, *edges: Change) -> None:
        self._edges.extend(edges)
        self._news.set()

    async def edges(self, timeout_s: float) -> Sequence[Change]:
        self.waits_s.append(timeout_s)
        if timeout_s > 0:
            await self._time.wait(self._news, timeout_s)
        self._news.clear()
        if self.gone:
            raise PortLost("the chip is gone")
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def close(self) -> None:
        self.closed = True


class Ports:
    """One chip, which may be absent."""

    def __init__(self, time: FakeTime) -> None:
        self._time = time
        self.requests: list[tuple[str, Mapping[str, LineRequest], int | None]] = []
        self.lines: list[Lines] = []
        self.absent = False

    def open_lines(self, chip: str, lines: Mapping[str, LineRequest], output: int | None) -> Lines:
        if self.absent:
            raise PortLost("there is no GPIO chip gpiochip0")
        self.requests.append((chip, lines, output))
        self.lines.append(Lines(self._time, dict.fromkeys(lines, 1)))
        return self.lines[-1]


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


class Pulse(Unhurried):
    """Tells an edge half a second later, if no other one comes."""

    def __init__(self) -> None:
        self._at_s: float | None = None

    @property
    def due_s(self) -> float | None:
        return None if self._at_s is None else self._at_s + 0.5

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        self._at_s = edges[-1].at_s
        return []

    def tick(self, at_s: float) -> list[Item]:
        self._at_s = None
        return [Measurement({"state": True}, event="seen")]


def contact(**more: Any) -> GpioDriver:
    fields = {"state": Field(kind="state"), "count": Field("count", kind="counter")}
    settings: dict[str, Any] = {
        "name": "contact",
        "title": "",
        "source": "",
        "fields": fields,
        "period_s": 0.0,
        "edges": lambda options: Counter(),
        "inline": True,
    }
    return GpioDriver(**{**settings, **more})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    fakes = FakeContext()
    bench = Bench(Ports(fakes.time), fakes)
    yield bench
    await bench.stop()


async def start(bench: Bench, driver: GpioDriver | None = None, **settings: Any) -> Any:
    return await bench.start(driver or contact(), **{"chip": "gpiochip0", "line": "GPIO17", **settings})


async def change(bench: Bench, *edges: Change) -> None:
    bench.ports.lines[-1].change(*edges)
    await bench.time.settle()


async def test_lines_are_asked_for_as_configured(bench: Bench) -> None:
    options = {"line_a": Option("line"), "line_b": Option("line"), "bias": Option("str")}
    driver = contact(lines=("a", "b"), options=options, debounce_ms=20.0, edges=lambda _: Unhurried())
    await start(bench, driver, active_low=True, options={"line_a": 5, "line_b": "GPIO6", "bias": "pull_up"})
    lines = {
        "a": LineRequest(5, "both", "pull_up", True, 20.0),
        "b": LineRequest("GPIO6", "both", "pull_up", True, 20.0),
    }
    assert bench.ports.requests == [("gpiochip0", lines, None)]


async def test_the_configuration_s_debounce_beats_the_driver_s(bench: Bench) -> None:
    await start(bench, contact(debounce_ms=20.0), debounce_ms=0.0)
    assert bench.ports.requests == [("gpiochip0", {"line": LineRequest("GPIO17", "both", "as_is", False, 0.0)}, None)]


async def test_an_edge_is_an_event_at_the_kernel_s_time(bench: Bench) -> None:
    await start(bench)
    await change(bench, Change(bench.time.now_s() - 0.25, "line", 1))
    assert bench.fakes.rows("event/a") == [{"ev": "on", "sev": "info", "count": 1}]
    reading = bench.fakes.store.appended[-1]
    assert reading.urgent
    now = bench.time.stamp()
    assert (reading.stamp.t, reading.stamp.mono_ms) == (now.t - 250, now.mono_ms - 250)
    assert bench.fakes.rows() == [{"state": True}], "how the line stands is published at the start"


async def test_each_edge_of_several_has_its_own_time(bench: Bench) -> None:
    await start(bench)
    now_s = bench.time.now_s()
    await change(bench, *(Change(now_s - ago_s, "line", level) for ago_s, level in ((0.3, 1), (0.2, 0), (0.1, 1))))
    stamps = [one.stamp.mono_ms - bench.time.mono_ms() for one in bench.fakes.store.appended[1:]]
    assert stamps == [-300, -200, -100]


async def test_lost_edges_are_counted_and_reported(bench: Bench) -> None:
    counter = Counter()
    await start(bench, contact(edges=lambda options: counter))
    await change(bench, Change(bench.time.now_s(), "line", 1, lost=7))
    assert (counter.count, counter.dropped) == (1, 7)
    (lost,) = bench.fakes.store.announced
    assert (lost["ev"], lost["stream"], lost["n"], lost["why"]) == ("rows_lost", "event/a", 7, "edges")
    assert bench.fakes.rows() == [{"state": True}, {"state": False}], "how the line stood before the edge that came"


async def test_totals_survive_a_restart(bench: Bench) -> None:
    await start(bench)
    await change(bench, *[Change(bench.time.now_s(), "line", 1)] * 3)
    assert bench.fakes.store.remembered == {"totals.a": '{"count": 3}'}
    await bench.stop()
    assert bench.ports.lines[0].closed
    await start(bench)
    await change(bench, Change(bench.time.now_s(), "line", 1))
    assert bench.fakes.rows("event/a")[-1]["count"] == 4


async def test_totals_that_did_not_change_are_not_written(bench: Bench) -> None:
    await start(bench)
    await change(bench, Change(bench.time.now_s(), "line", 0))
    assert bench.fakes.store.remembered == {}


@pytest.mark.parametrize("kept", ['{"count": "many"', '{"count": "many"}', '{"other": 5}'])
async def test_totals_that_cannot_be_read_begin_at_zero(bench: Bench, kept: str) -> None:
    bench.fakes.store.remembered["totals.a"] = kept
    await start(bench)
    await change(bench, Change(bench.time.now_s(), "line", 1))
    assert bench.fakes.rows("event/a")[0]["count"] == 1


async def test_what_stands_is_published_every_interval_from_the_first_reading_on(bench: Bench) -> None:
    await start(bench, interval_s=60.0)
    assert bench.fakes.rows() == [{"state": True}]
    await bench.time.advance(59.0)
    assert len(bench.fakes.rows()) == 1
    await bench.time.advance(61.0)
    assert bench.fakes.rows()[1:] == [{"count": 0}] * 2


async def test_a_driver_with_nothing_to_say_at_the_start_is_sampled_at_once(bench: Bench) -> None:
    class Silent(Counter):
        def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
            return []

    await start(bench, contact(edges=lambda options: Silent(), period_s=10.0))
    await bench.time.advance(10.0)
    assert bench.fakes.rows() == [{"count": 0}] * 2


async def test_an_interval_of_zero_is_none(bench: Bench) -> None:
    await start(bench, contact(period_s=10.0), interval_s=0.0)
    await bench.time.advance(3600.0)
    assert bench.fakes.rows() == [{"state": True}]


async def test_what_ends_by_silence_ends_in_time(bench: Bench) -> None:
    await start(bench, contact(edges=lambda options: Pulse()))
    await change(bench, Change(bench.time.now_s(), "line", 1))
    await bench.time.advance(0.4)
    assert bench.fakes.rows("event/a") == []
    await bench.time.advance(0.1)
    assert bench.fakes.rows("event/a") == [{"ev": "seen", "sev": "info", "state": True}]
    assert bench.ports.lines[0].waits_s[-1] == 3600.0


async def test_a_device_that_says_nothing_for_hours_is_well(bench: Bench) -> None:
    runner = await start(bench)
    await bench.time.advance(10_000.0)
    assert runner.status().last_good_s < 3600.0
    assert runner.proven
    assert bench.fakes.events() == []


async def test_a_chip_that_goes_away_is_asked_for_again(bench: Bench) -> None:
    await start(bench)
    bench.ports.absent = True
    bench.ports.lines[0].gone = True
    await change(bench)
    assert bench.fakes.events() == [("sensor_lost", "port")]
    bench.ports.absent = False
    await bench.time.advance(5.0)
    assert [name for name, _ in bench.fakes.events()] == ["sensor_lost", "sensor_recovered"]
    assert bench.ports.lines[0].closed


async def test_edges_wait_with_the_kernel_while_the_store_has_no_room(bench: Bench) -> None:
    await start(bench)
    bench.fakes.store.has_room.clear()
    await change(bench, Change(bench.time.now_s(), "line", 1))
    await change(bench, Change(bench.time.now_s(), "line", 0))
    assert len(bench.fakes.rows("event/a")) == 1
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert len(bench.fakes.rows("event/a")) == 2


async def test_an_output_is_driven_low_at_first_and_at_the_end(bench: Bench) -> None:
    runner = await start(bench, contact(output=True))
    assert bench.ports.requests[0][2] == 0
    await runner.switch(True)
    await bench.stop()
    assert bench.ports.lines[0].levels() == {"line": 0}


async def test_an_output_is_set_and_its_state_is_published_at_once_as_it_is_read_back(bench: Bench) -> None:
    siren = await start(bench, contact(output=True))
    for on in (False, True, True):
        await siren.switch(on)
    assert bench.ports.lines[0].levels() == {"line": 1}
    bench.ports.lines[0].stuck = True
    await siren.switch(False)
    assert bench.fakes.rows()[1:] == [{"state": state} for state in (False, True, True, True)]
    assert all(one.urgent for one in bench.fakes.store.appended)


async def test_what_cannot_be_set_says_why(bench: Bench) -> None:
    with pytest.raises(LookupError, match="a is no output"):
        await (await start(bench)).switch(True)
    bench.ports.absent = True
    siren = await start(bench, contact(output=True))
    with pytest.raises(LookupError, match="a is not there now"):
        await siren.switch(True)
    bench.ports.absent = False
    await bench.time.advance(5.0)
    bench.ports.lines[1].gone = True
    with pytest.raises(LookupError, match="the chip is gone"):
        await siren.switch(True)
    await bench.stop()
    with pytest.raises(LookupError, match="a is not there now"):
        await siren.switch(True)


async def test_an_output_whose_driver_hangs_says_so(bench: Bench) -> None:
    class Stuck(Counter):
        def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
            if levels["line"] and at_s > 1000.0:
                raise Hang
            return []

    siren = await start(bench, contact(output=True, inline=False, edges=lambda options: Stuck()))
    await bench.time.advance(1.0)
    switching = bench.go(siren.switch(True))
    await bench.time.advance(5.0)
    with pytest.raises(LookupError, match="driver contact did not return within 5 s"):
        await switching
