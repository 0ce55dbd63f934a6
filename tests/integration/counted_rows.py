"""What a scripted broker was sent by an agent whose sensor counts."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from agent.delivery.timings import DeliveryTimings
from tests.support.gateway import Running, gateway
from tests.support.mosquitto import until
from tests.support.scripted_broker import ScriptedBroker

COUNT = "telemetry/count-1"


def values(broker: ScriptedBroker, stream: str = COUNT) -> list[object]:
    """What arrived of a stream, by number."""
    rows = broker.rows(stream)
    return [rows[key]["n"] for key in sorted(rows)]


async def introduced(broker: ScriptedBroker, sessions: int = 1) -> None:
    """Wait until the agent has introduced itself in this many sessions."""
    await until(lambda: len(broker.sessions) == sessions and "streams" in broker.sessions[-1].leaves())


def hurried(folder: Path, broker: ScriptedBroker, **more: Any) -> AbstractAsyncContextManager[Running]:
    """A gateway with little patience: 0.5 s for a PUBACK instead of 20, nearly no pause between two tries."""
    return gateway(folder, broker.url, wait=0.05, timings=DeliveryTimings(ack_s=0.5), **more)
