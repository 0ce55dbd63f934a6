"""Records the agent's own health as telemetry of the sensor ``_agent``."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from agent.base.reading import AGENT, Reading, Stamp, packed, telemetry
from agent.base.status import Status
from agent.base.status_views import agent_telemetry

PERIOD_S = 60.0


class Store(Protocol):
    """What the metrics need from the store."""

    meta_hash: str

    def append(self, reading: Reading) -> None: ...


async def report(
    store: Store,
    status: Callable[[], Status],
    now: Callable[[], Stamp],
    soon: asyncio.Event,
    period_s: float = PERIOD_S,
) -> None:
    """Append one reading every ``period_s``, for ever. When ``soon`` is set, append one that is sent at once."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(period_s):
                await soon.wait()
        urgent = soon.is_set()
        soon.clear()
        store.append(Reading(telemetry(AGENT), now(), store.meta_hash, packed(agent_telemetry(status())), urgent))
