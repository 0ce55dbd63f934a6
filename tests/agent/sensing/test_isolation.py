"""Where a driver's code runs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from agent.sensing.context import SensorLimits
from agent.sensing.isolation import DriverIsolation
from agent.sensing.sensor_errors import Stuck
from drivers.sdk.contract import Driver
from tests.agent.sensing.fakes import FakeTime, FakeWorker, Hang, Words


class Bench:
    def __init__(self, *, inline: bool, decode_s: float = 5.0) -> None:
        self.time = FakeTime()
        self.workers: list[FakeWorker] = []
        driver = Driver(
            name="words", title="", source="", fields={}, period_s=1.0, decoder=lambda options: Words(), inline=inline
        )
        self.isolation = DriverIsolation(driver, self._worker, SensorLimits(decode_s=decode_s))

    def _worker(self) -> FakeWorker:
        self.workers.append(FakeWorker(self.time, "sensor a"))
        return self.workers[-1]


def hang() -> None:
    raise Hang


async def test_the_project_s_own_decoder_runs_on_the_loop_and_needs_no_thread() -> None:
    bench = Bench(inline=True)
    assert await bench.isolation.decode(lambda: 5) == 5
    bench.isolation.post(hang)
    bench.isolation.close()
    assert bench.workers == []


async def test_any_other_decoder_runs_in_one_thread() -> None:
    bench = Bench(inline=False)
    assert (await bench.isolation.decode(lambda: 5), await bench.isolation.decode(lambda: 6)) == (5, 6)
    assert [worker.calls for worker in bench.workers] == [2]


async def test_what_it_raises_reaches_the_caller() -> None:
    for inline in (True, False):
        with pytest.raises(ZeroDivisionError):
            await Bench(inline=inline).isolation.decode(lambda: 1 // 0)


async def test_a_decoder_that_does_not_return_is_left_behind_with_its_thread() -> None:
    bench = Bench(inline=False, decode_s=2.0)
    for count in (1, 2, 3):
        assert not bench.isolation.exhausted
        with pytest.raises(Stuck, match="driver words did not return within 2 s"):
            await _passing(bench, bench.isolation.decode(hang), 2.0)
        assert len(bench.workers) == count
    assert bench.isolation.exhausted
    assert [worker.closed for worker in bench.workers] == [False] * 3


async def test_a_call_has_its_own_time() -> None:
    bench = Bench(inline=True)
    with pytest.raises(Stuck, match="within 7 s"):
        await _passing(bench, bench.isolation.call(hang, 7.0), 7.0)


async def test_what_is_posted_runs_in_the_thread() -> None:
    bench, done = Bench(inline=False), []
    await bench.isolation.decode(lambda: 5)
    bench.isolation.post(lambda: done.append(1))
    assert (done, len(bench.workers[0].posted)) == ([1], 1)


async def test_closing_ends_the_thread() -> None:
    bench = Bench(inline=False)
    await bench.isolation.decode(lambda: 5)
    bench.isolation.close()
    bench.isolation.close()
    assert [worker.closed for worker in bench.workers] == [True]


async def _passing(bench: Bench, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
    """What comes of this, while so much time passes."""
    task = asyncio.ensure_future(work)
    await bench.time.advance(seconds)
    return await task
