"""A runner: what becomes of measurements, what is due by time, and who asks."""

from collections.abc import AsyncIterator, Mapping

import pytest

from agent.config.settings import Calibrate
from agent.sensing.privacy import pseudonym
from agent.sensing.sensor_errors import PortLost
from agent.sensing.sources.source import Feed
from drivers.sdk.contract import Field, Measurement, Presence, Rejected
from tests.agent.sensing.runner_bench import KEY, Bench, ScriptedSource, Switch, driver, failing, x


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


async def test_measurements_become_readings_and_only_the_first_is_urgent(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    assert bench.handle(runner, x(1), x(2.04), Rejected("crc"), x(400)) == 3
    assert bench.fakes.rows() == [{"x": 1}, {"x": 2.0}, {"x": None, "q": {"x": "bad:range"}}]
    assert [one.urgent for one in bench.fakes.store.appended] == [True, False, False]
    assert {one.stamp for one in bench.fakes.store.appended} == {bench.time.stamp()}
    assert bench.fakes.events() == []


async def test_an_event_is_urgent_and_carries_its_name(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    bench.handle(runner, x(1))
    bench.handle(runner, x(2, event="on"))
    assert bench.fakes.rows("event/a") == [{"ev": "on", "sev": "info", "x": 2}]
    assert [one.urgent for one in bench.fakes.store.appended] == [True, True]


async def test_what_a_command_caused_is_urgent(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    bench.handle(runner, x(1))
    runner.handle([x(2)], bench.time.stamp(), urgent=True)
    bench.handle(runner, x(3))
    assert [one.urgent for one in bench.fakes.store.appended] == [True, True, False]


async def test_calibration_privacy_and_the_source_s_interval_apply(bench: Bench) -> None:
    fields = {"x": Field("Cel"), "card": Field("", "state", identifier=True)}
    runner = await bench.start(
        ScriptedSource(downsample_s=10.0), driver(fields=fields), calibrate={"x": Calibrate(2.0, 1.0)}
    )
    for value in (1.0, 2.0):
        bench.handle(runner, Measurement({"x": value, "card": 77}))
    assert bench.fakes.rows() == [{"x": 3.0, "card": pseudonym(KEY, 77)}]


async def test_other_code_than_the_project_s_is_decoded_in_a_thread_of_the_sensor_s_own(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    assert await runner.decode(lambda: 5) == 5
    assert bench.fakes.workers == []
    foreign = await bench.start(ScriptedSource(), driver(inline=False))
    assert (await foreign.decode(lambda: 6), await foreign.decode(lambda: 7)) == (6, 7)
    (worker,) = bench.fakes.workers
    assert (worker.name, worker.calls) == ("sensor a", 2)
    bench.running.cancel()
    await bench.time.settle()
    assert worker.closed


async def test_what_may_block_runs_in_the_thread_whatever_the_driver_says(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    assert await runner.call(lambda: 5, 1.0) == 5
    closed = []
    runner.post(lambda: closed.append(1))
    assert (len(bench.fakes.workers), closed) == (1, [1])


async def test_a_tag_that_leaves_is_gone_in_time_though_nothing_more_is_measured(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(), driver(presence=Presence(("x",), gone_s=2.0)))
    bench.handle(runner, x(5))
    await bench.time.advance(1.5)
    bench.handle(runner, x(5))
    await bench.time.advance(1.9)
    assert [row["ev"] for row in bench.fakes.rows("event/a")] == ["seen"]
    await bench.time.advance(0.1)
    assert [row["ev"] for row in bench.fakes.rows("event/a")] == ["seen", "gone"]
    assert bench.fakes.store.appended[-1].stamp == bench.time.stamp()
    bench.handle(runner, x(6))
    await bench.time.advance(2.0)
    assert [row["ev"] for row in bench.fakes.rows("event/a")] == ["seen", "gone"] * 2


async def test_a_tag_is_gone_also_while_its_reader_cannot_be_opened(bench: Bench) -> None:
    async def one_tag(feed: Feed) -> None:
        feed.handle([x(5)], feed.stamp())
        raise PortLost("unplugged")

    source = ScriptedSource(one_tag, failing(PortLost("unplugged")))
    await bench.start(source, driver(presence=Presence(("x",), gone_s=2.0)))
    await bench.time.advance(2.0)
    assert [row["ev"] for row in bench.fakes.rows("event/a")] == ["seen", "gone"]


async def test_a_sensor_that_was_stopped_publishes_nothing_more(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(), driver(presence=Presence(("x",), gone_s=2.0)))
    bench.handle(runner, x(5))
    bench.running.cancel()
    await bench.time.advance(10.0)
    assert [row["ev"] for row in bench.fakes.rows("event/a")] == ["seen"]


async def test_whoever_asks_gets_the_next_measurement_as_it_would_be_published(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(downsample_s=3600.0), calibrate={"x": Calibrate(1.0, 1.0)})
    bench.handle(runner, x(1))
    asked = [bench.go(runner.measure()) for _ in range(2)]
    await bench.time.settle()
    assert not any(one.done() for one in asked)
    bench.handle(runner, Rejected("crc"))
    bench.handle(runner, x(200))
    await bench.time.settle()
    answer: Mapping[str, object] = {"x": None, "q": {"x": "bad:range"}}
    assert [one.result() for one in asked] == [answer, answer]
    again = bench.go(runner.measure())
    await bench.time.settle()
    assert not again.done()
    bench.handle(runner, x(2))
    await bench.time.settle()
    assert again.result() == {"x": 3.0, "q": {}}


async def test_one_who_gives_up_waiting_takes_nothing_from_the_next(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    impatient = bench.go(runner.measure())
    await bench.time.settle()
    impatient.cancel()
    patient = bench.go(runner.measure())
    await bench.time.settle()
    bench.handle(runner, x(1))
    await bench.time.settle()
    assert patient.result() == {"x": 1, "q": {}}


async def test_a_question_cuts_a_pause_short_once(bench: Bench) -> None:
    paused: list[float] = []

    async def poll(feed: Feed) -> None:
        while True:
            began_s = feed.now_s()
            await feed.pause(60.0)
            paused.append(feed.now_s() - began_s)

    runner = await bench.start(ScriptedSource(poll, poll_s=60.0))
    await bench.time.advance(70.0)
    bench.go(runner.measure())
    await bench.time.advance(60.0)
    assert paused == [60.0, 10.0, 60.0], "a device that gives nothing is not asked without end"


async def test_an_answered_question_cuts_no_pause_short(bench: Bench) -> None:
    async def poll(feed: Feed) -> None:
        await feed.sleep(1.0)
        feed.handle([x(1)], feed.stamp())
        await feed.pause(60.0)
        raise AssertionError("the pause was cut short")

    runner = await bench.start(ScriptedSource(poll, poll_s=60.0))
    asked = bench.go(runner.measure())
    await bench.time.advance(50.0)
    assert asked.result() == {"x": 1, "q": {}}
    assert bench.fakes.events() == []


async def test_only_an_output_can_be_set(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    with pytest.raises(LookupError, match="a is not an output"):
        await runner.switch(True)
    source = Switch()
    await (await bench.start(source)).switch(True)
    assert source.on


async def test_a_sensor_counts_what_it_did(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    bench.handle(runner, x(1), Rejected("crc"), x(2))
    await bench.time.advance(2.5)
    status = runner.status()
    assert (status.frames, status.rejected, status.restarts, status.last_good_s) == (2, 1, 0, 2.5)


async def test_a_sensor_waits_while_the_store_has_no_room(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    bench.fakes.store.has_room.clear()
    waiting = bench.go(runner.wait_for_room())
    await bench.time.settle()
    assert not waiting.done()
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert waiting.done()


async def test_what_a_flood_dropped_is_reported_when_the_sensor_stops(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(), max_rows_per_s=0.01)
    bench.handle(runner, *[x(1)] * 8)
    bench.running.cancel()
    await bench.time.settle()
    assert [(row["ev"], row["n"]) for row in bench.fakes.store.announced] == [("rows_lost", 2)]


async def test_garbage_without_end_is_read_slowly(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    runner.record_data(70_000, 0)
    bench.go(runner.wait_for_room())
    await bench.time.settle()
    assert bench.time.slept == [0.25]
    runner.record_data(100, 1)
    await runner.wait_for_room()
    assert bench.time.slept == [0.25]
