"""Lines: edges with the kernel's times, lost ones counted, totals that survive a restart."""

from collections.abc import AsyncIterator, Mapping

import pytest

from agent.sensing.sources.gpio import LineRequest
from drivers.sdk.contract import Item, Option
from drivers.sdk.edges import EdgeDecoderBase
from tests.agent.sensing.sources.bench import Bench
from tests.agent.sensing.sources.gpio_fakes import Change, Counter, Ports, Pulse, change, contact, start


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench.over(Ports) as bench:
        yield bench


async def test_lines_are_asked_for_as_configured(bench: Bench) -> None:
    options = {"line_a": Option("line"), "line_b": Option("line"), "bias": Option("str")}
    driver = contact(lines=("a", "b"), options=options, debounce_ms=20.0, edges=lambda _: EdgeDecoderBase())
    runner = await start(bench, driver, active_low=True, options={"line_a": 5, "line_b": "GPIO6", "bias": "pull_up"})
    lines = {
        "a": LineRequest(5, "both", "pull_up", True, 20.0),
        "b": LineRequest("GPIO6", "both", "pull_up", True, 20.0),
    }
    assert bench.ports.requests == [("gpiochip0", lines, None)]
    assert runner.proven, "a device that speaks only when something happens is well by having its lines"


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
