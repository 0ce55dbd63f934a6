"""The agent's own health, as telemetry of the sensor ``_agent``."""

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from agent.core.health import Health
from agent.core.reading import AGENT, Reading, Stamp, telemetry
from agent.core.wire import packed
from drivers.sdk.contract import Field, Value

PERIOD_S = 60.0

FIELDS: Mapping[str, Field] = {
    "backlog": Field("count", min=0),
    "sensors_ok": Field("count", min=0),
    "sensors_lost": Field("count", min=0),
    "rejected": Field("count", kind="counter", min=0),
    "cpu": Field("s", kind="counter", resolution=0.01, min=0),
    "memory_peak": Field("B", min=0),
    "cert_left": Field("s"),
}
"""``backlog``: readings that the broker does not have yet. ``rejected``: frames refused since the start. ``cpu``:
processor time used. ``memory_peak``: the most memory the agent was resident with. ``cert_left``:
until the certificate in use ends; only where that is known."""


class Store(Protocol):
    """What the health needs of the store."""

    mh: str

    def append(self, reading: Reading) -> None: ...
    def unsettled(self) -> int: ...


async def report(
    store: Store,
    sensors: Callable[[], Iterable[Health]],
    now: Callable[[], Stamp],
    cert_left_s: Callable[[], int | None],
    soon: asyncio.Event,
) -> None:
    """Append one reading every :data:`PERIOD_S`, for ever, and one to be sent at once when ``soon`` is set."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PERIOD_S):
                await soon.wait()
        urgent = soon.is_set()
        soon.clear()
        healths = list(sensors())
        lost = sum(health.lost for health in healths)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        left_s = cert_left_s()
        values: dict[str, Value] = {
            "backlog": store.unsettled(),
            "sensors_ok": len(healths) - lost,
            "sensors_lost": lost,
            "rejected": sum(health.rejected for health in healths),
            "cpu": round(usage.ru_utime + usage.ru_stime, 2),
            "memory_peak": usage.ru_maxrss * 1024,
            **({} if left_s is None else {"cert_left": left_s}),
        }
        store.append(Reading(telemetry(AGENT), now(), store.mh, packed(values), urgent))
