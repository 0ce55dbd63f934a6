"""A runner: what is the same for every kind of source."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

from agent.core.failure import PortLost, SensorFailure
from agent.core.privacy import pseudonym
from agent.core.settings import Calibrate, Sensor
from agent.services.sensing.runner import SensorRunner
from agent.services.sensing.source import Feed
from drivers.sdk.contract import Driver, Field, Item, Measurement, Presence, Rejected
from tests.agent.services.sensing.fakes import FakeContext, Hang, Words

Run = Callable[[Feed], Awaitable[None]]
KEY = bytes(32)


async def for_ever(feed: Feed) -> None:
    await asyncio.Event().wait()


class ScriptedSource:
    """A source whose runs the test writes: one after the other, and the last one again and again."""

    place = "/dev/a"

    def __init__(self, *runs: Run, poll_s: float = 0.0, downsample_s: float = 0.0) -> None:
        self.runs = deque(runs or (for_ever,))
        self.poll_s = poll_s
        self.downsample_s = downsample_s
        self.started = 0

    async def run(self, feed: Feed) -> None:
        self.started += 1
        run = self.runs.popleft() if len(self.runs) > 1 else self.runs[0]
        await run(feed)


class Switch(ScriptedSource):
    """A source that can be set."""

    on = False

    async def switch(self, on: bool, feed: Feed) -> None:
        self.on = on


def driver(**more: Any) -> Driver:
    settings: dict[str, Any] = {
        "name": "words",
        "title": "",
        "source": "",
        "fields": {"x": Field("Cel", resolution=0.1, max=100)},
        "period_s": 1.0,
        "decoder": lambda options: Words(),
        "inline": True,
    }
    return Driver(**{**settings, **more})


class Bench:
    """Runs one sensor over fakes."""

    def __init__(self) -> None:
        self.fakes = FakeContext(privacy_key=KEY)
        self.time = self.fakes.time
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self, source: ScriptedSource, used: Driver | None = None, **settings: Any) -> SensorRunner:
        used = used or driver()
        runner = SensorRunner(Sensor(id="a", driver=used.name, **settings), used, self.fakes.context, source)
        self.running = self.go(runner.run())
        await self.time.settle()
        return runner

    def go(self, work: Any) -> "asyncio.Task[Any]":
        self._tasks.append(asyncio.ensure_future(work))
        return self._tasks[-1]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def handle(self, runner: SensorRunner, *items: Item) -> int:
        return runner.handle(list(items), self.time.stamp())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


def x(value: float, **more: Any) -> Measurement:
    return Measurement({"x": value}, **more)


def failing(error: Exception, after_s: float = 0.0) -> Run:
    async def run(feed: Feed) -> None:
        if after_s:
            await feed.sleep(after_s)
        raise error

    return run


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


async def test_a_sensor_is_lost_once_and_recovered_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = ScriptedSource(*[failing(PortLost("port a is not there"))] * 3, for_ever)
    runner = await bench.start(source)
    assert bench.fakes.events() == [("sensor_lost", "port")]
    await bench.time.advance(5.0)
    assert source.started == 4
    assert bench.fakes.events() == [("sensor_lost", "port")]
    assert caplog.text.count("a: port a is not there") == 1
    assert (runner.status().lost, runner.status().why, runner.status().restarts) == (True, "port a is not there", 3)
    bench.handle(runner, x(1))
    assert bench.fakes.events()[1:] == [("sensor_recovered", None)]
    assert bench.fakes.store.announced[1]["away_s"] == 5.0
    assert caplog.text.count("a: back") == 1
    assert (runner.status().lost, runner.status().why) == (False, "")
    bench.handle(runner, x(2))
    assert len(bench.fakes.events()) == 2


async def test_the_same_reason_is_logged_again_after_a_recovery(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def once_good(feed: Feed) -> None:
        feed.handle([x(1)], feed.stamp())
        raise PortLost("gone")

    await bench.start(ScriptedSource(failing(PortLost("gone")), once_good, for_ever))
    await bench.time.advance(5.0)
    assert caplog.text.count("a: gone") == 2


@pytest.mark.parametrize(
    ("error", "waits_s"),
    [(PortLost("gone"), [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]), (ValueError("a fault"), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0])],
)
async def test_each_failure_doubles_the_wait_up_to_a_limit(
    bench: Bench, error: Exception, waits_s: list[float]
) -> None:
    await bench.start(ScriptedSource(failing(error)))
    await bench.time.advance(sum(waits_s[:-1]))
    assert bench.time.slept == waits_s


async def test_a_driver_that_fails_for_long_is_tried_once_a_minute(bench: Bench) -> None:
    await bench.start(ScriptedSource(failing(ValueError("a fault"))))
    await bench.time.advance(300.0)
    assert bench.time.slept[6:] == [60.0] * (len(bench.time.slept) - 6)


@pytest.mark.parametrize(("worked_s", "wait_s"), [(10.0, 0.25), (9.9, 1.0)])
async def test_only_work_that_lasted_resets_the_wait(bench: Bench, worked_s: float, wait_s: float) -> None:
    """With 10 s of work the next failure counts as the first, and the try after it comes at once."""
    gone = failing(PortLost("gone"))
    source = ScriptedSource(gone, gone, failing(PortLost("gone"), after_s=worked_s), gone)
    await bench.start(source)
    await bench.time.advance(0.75 + worked_s)
    assert bench.time.slept == [0.25, 0.5, worked_s, wait_s]


async def test_a_driver_that_raises_is_lost_in_one_line_with_its_place(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def decode(feed: Feed) -> None:
        await feed.decode(lambda: Words().feed(b"! ", 0.0))

    await bench.start(ScriptedSource(decode))
    await bench.time.advance(10.0)
    assert bench.fakes.events() == [("sensor_lost", "driver")]
    assert 'driver words raised ValueError("a driver\'s own fault") (' in caplog.text
    assert "fakes.py, line" in caplog.text
    assert "Traceback" not in caplog.text
    assert len(caplog.records) == 1
    assert caplog.records[0].__dict__["code"] == "driver"


async def test_a_driver_that_hangs_again_and_again_is_switched_off(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def decode(feed: Feed) -> None:
        await feed.decode(lambda: Words().feed(b"z ", 0.0))

    source = ScriptedSource(decode)
    await bench.start(source, driver(inline=False))
    await bench.time.advance(60.0)
    assert bench.running.done()
    assert source.started == 3
    assert bench.fakes.events() == [("sensor_lost", "driver")]
    assert "driver words did not return within 5 s" in caplog.text
    assert "a: driver words hangs again and again; it is switched off" in caplog.text


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


@pytest.mark.parametrize(("period_s", "silence_s"), [(10.0, 30.0), (0.1, 3.0)])
async def test_a_device_is_lost_after_three_periods_but_not_before_three_seconds(
    bench: Bench, caplog: pytest.LogCaptureFixture, period_s: float, silence_s: float
) -> None:
    runner = await bench.start(ScriptedSource(), driver(period_s=period_s))
    bench.handle(runner, x(1))
    await bench.time.advance(silence_s - 0.01)
    runner.check_silence()
    assert bench.fakes.events() == []
    await bench.time.advance(0.02)
    for _ in range(2):
        runner.check_silence()
    assert bench.fakes.events() == [("sensor_lost", "timeout")]
    assert caplog.text.count("nothing comes from /dev/a") == 1
    assert runner.status().last_good_s == pytest.approx(silence_s + 0.01)


async def test_the_interval_counts_as_the_period_of_a_device_that_is_asked(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(poll_s=60.0), driver(period_s=1.0))
    assert runner.silence_s() == 180.0


async def test_a_device_without_a_period_may_be_silent_and_has_proven_itself_by_its_port(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(), driver(period_s=0.0))
    assert not runner.proven
    runner.opened()
    assert runner.proven
    await bench.time.advance(1e6)
    runner.check_silence(reopen=True)
    assert bench.fakes.events() == []
    periodic = await bench.start(ScriptedSource())
    periodic.opened()
    assert not periodic.proven
    bench.handle(periodic, x(1))
    assert periodic.proven


async def test_a_silent_port_is_opened_again_half_a_minute_after_it_was_opened(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource())
    await bench.time.advance(30.0)
    runner.check_silence(reopen=True)
    await bench.time.advance(0.1)
    runner.check_silence()
    with pytest.raises(SensorFailure, match="nothing comes from /dev/a"):
        runner.check_silence(reopen=True)


async def test_a_port_that_was_just_opened_again_has_its_time(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(failing(PortLost("gone"), after_s=60.0), for_ever))
    await bench.time.advance(60.0 + 30.0)
    runner.check_silence(reopen=True)


@pytest.mark.parametrize(
    ("heard", "items", "why", "line"),
    [
        (True, [Rejected("crc")], "crc", "only garbage comes from /dev/a (crc)"),
        (True, [], "no_frame", "bytes come from /dev/a, but no frame of words"),
        (False, [], "timeout", "nothing comes from /dev/a"),
    ],
)
async def test_a_loss_says_what_is_wrong(
    bench: Bench, caplog: pytest.LogCaptureFixture, heard: bool, items: list[Item], why: str, line: str
) -> None:
    runner = await bench.start(ScriptedSource())
    if heard:
        runner.heard(10, len(items))
    bench.handle(runner, *items)
    await bench.time.advance(3.0)
    runner.check_silence()
    assert bench.fakes.events() == [("sensor_lost", why)]
    assert line in caplog.text


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
    with pytest.raises(LookupError, match="a is no output"):
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
    waiting = bench.go(runner.hold_back())
    await bench.time.settle()
    assert not waiting.done()
    bench.fakes.store.has_room.set()
    await bench.time.settle()
    assert waiting.done()


async def test_a_fault_of_a_thread_left_behind_does_not_come_back(bench: Bench) -> None:
    def hang() -> None:
        raise Hang

    async def run(feed: Feed) -> None:
        await feed.call(hang, 2.0)

    await bench.start(ScriptedSource(run, for_ever))
    await bench.time.advance(3.0)
    assert [worker.closed for worker in bench.fakes.workers] == [False], "a thread that hangs cannot be closed"
