"""What several tests of the delivery begin with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.agent.delivery import session_bench, uplink_bench


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., uplink_bench.Bench]]:
    """Makes uplinks, which are stopped in the end."""
    benches: list[uplink_bench.Bench] = []

    def bench(**more: Any) -> uplink_bench.Bench:
        benches.append(uplink_bench.Bench(**more))
        return benches[-1]

    yield bench
    for made in benches:
        await made.stop()


@pytest.fixture
async def bench() -> AsyncIterator[session_bench.Bench]:
    """One session."""
    bench = session_bench.Bench()
    yield bench
    if bench.task is not None:
        bench.task.cancel()
        await asyncio.gather(bench.task, return_exceptions=True)
