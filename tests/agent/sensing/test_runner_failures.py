"""A runner whose source fails: lost once, tried again, recovered once."""

import logging
from collections.abc import AsyncIterator

import pytest

from agent.sensing.sensor_errors import PortLost, SensorFailure
from agent.sensing.sources.source import Feed
from drivers.sdk.contract import Item, Rejected
from tests.agent.sensing.fakes import Hang, Words
from tests.agent.sensing.runner_bench import Bench, ScriptedSource, driver, failing, for_ever, x


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stop()


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
    assert caplog.text.count("a: recovered") == 1
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
async def test_only_work_that_lasted_resets_the_wait(
    bench: Bench, caplog: pytest.LogCaptureFixture, worked_s: float, wait_s: float
) -> None:
    """With 10 s of work the next failure counts as the first, and the try after it comes at once."""
    gone = failing(PortLost("gone"))
    source = ScriptedSource(gone, gone, failing(PortLost("worn out"), after_s=worked_s), gone)
    await bench.start(source)
    await bench.time.advance(0.75 + worked_s)
    assert bench.time.slept == [0.25, 0.5, worked_s, wait_s]
    assert caplog.text.count("a: worn out") == 1


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
    assert "a: driver words keeps hanging; stopped using it" in caplog.text


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
    assert caplog.text.count("no data from /dev/a") == 1
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
    with pytest.raises(SensorFailure, match="no data from /dev/a"):
        runner.check_silence(reopen=True)


async def test_a_port_that_was_just_opened_again_has_its_time(bench: Bench) -> None:
    runner = await bench.start(ScriptedSource(failing(PortLost("gone"), after_s=60.0), for_ever))
    await bench.time.advance(60.0 + 30.0)
    runner.check_silence(reopen=True)


@pytest.mark.parametrize(
    ("heard", "items", "why", "line"),
    [
        (True, [Rejected("crc")], "crc", "only invalid data from /dev/a (crc)"),
        (True, [], "no_frame", "data from /dev/a contains no frame of words"),
        (False, [], "timeout", "no data from /dev/a"),
    ],
)
async def test_a_loss_says_what_is_wrong(
    bench: Bench, caplog: pytest.LogCaptureFixture, heard: bool, items: list[Item], why: str, line: str
) -> None:
    runner = await bench.start(ScriptedSource())
    if heard:
        runner.record_data(10, len(items))
    bench.handle(runner, *items)
    await bench.time.advance(3.0)
    runner.check_silence()
    assert bench.fakes.events() == [("sensor_lost", why)]
    assert line in caplog.text


async def test_a_fault_of_a_thread_left_behind_does_not_come_back(bench: Bench) -> None:
    def hang() -> None:
        raise Hang

    async def run(feed: Feed) -> None:
        await feed.call(hang, 2.0)

    await bench.start(ScriptedSource(run, for_ever))
    await bench.time.advance(3.0)
    assert [worker.closed for worker in bench.fakes.workers] == [False], "a thread that hangs cannot be closed"
