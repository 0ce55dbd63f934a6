"""The agent's own reading: every minute, and at once when somebody needs it."""

import asyncio

import msgpack

from agent.app import agent_metrics
from tests.agent.base.test_status_views import STATUS
from tests.agent.fakes import FakeClock, FakeStore
from tests.support.mosquitto import until


async def test_a_reading_comes_in_time_and_at_once_when_it_is_needed_soon() -> None:
    clock = FakeClock()
    store, soon = FakeStore(clock), asyncio.Event()
    task = asyncio.create_task(agent_metrics.report(store, lambda: STATUS, clock.stamp, soon, period_s=0.01))
    await until(lambda: len(store.appended) >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    first = store.appended[0]
    assert (first.stream, first.stamp, first.urgent) == ("telemetry/_agent", clock.stamp(), False)
    assert msgpack.unpackb(first.body)["sensors_ok"] == 2

    store.appended.clear()
    task = asyncio.create_task(agent_metrics.report(store, lambda: STATUS, clock.stamp, soon, period_s=3600.0))
    soon.set()
    await until(lambda: bool(store.appended))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [reading.urgent for reading in store.appended] == [True]
    assert not soon.is_set()
