"""The way from the store to the broker, of real parts, in the test's own event loop: its timers can be shortened."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from agent.base.io import clock
from agent.base.io.state_dir import StateDir
from agent.base.reading import Reading, packed, telemetry
from agent.config.settings import Broker, Config, Gateway, Publish
from agent.delivery import wire
from agent.delivery.connection import Will
from agent.delivery.identity import Description, GatewayIdentity
from agent.delivery.io import mqtt
from agent.delivery.policies.backoff import Backoff
from agent.delivery.timings import DeliveryTimings
from agent.delivery.uplink import Uplink
from agent.store.store import Store
from tests.agent.fakes import FakeInbox
from tests.support.mosquitto import until

TOPICS = wire.Topics.of("makassar", "security", "checkpoint", "pos-1")
BID = "b41d0c7e"
PROMPT = Publish(max_delay_s=0.05)


@dataclass(slots=True)
class Running:
    """A store and an uplink that works on it."""

    store: Store
    uplink: Uplink
    task: "asyncio.Task[None]"

    def measure(self, sensor: str, *values: object, **more: object) -> None:
        """Append readings with these values of ``n``."""
        for value in values:
            body = packed({"n": value, **more})
            self.store.append(Reading(telemetry(sensor), clock.Clock().now(), self.store.meta_hash, body))

    async def settled(self, sensor: str = "count-1") -> None:
        """Wait until all readings so far are durable, and those of a sensor acknowledged or given up."""
        await self.store.flush()
        await until(lambda: not self.unsettled(sensor))

    def unsettled(self, sensor: str) -> int:
        """How many readings of a sensor the broker has not acknowledged."""
        return self.store.accounts[telemetry(sensor)].unsettled()


@contextlib.asynccontextmanager
async def gateway(
    folder: Path,
    url: str,
    publish: Publish = PROMPT,
    keepalive_s: int = 60,
    described: str = "n",
    wait: float = 1.0,
    timings: DeliveryTimings | None = None,
    backoff: Backoff | None = None,
    ca_file: str = "",
) -> AsyncIterator[Running]:
    """Run it; at the end it says goodbye. ``described``: the name of the field in its ``meta``; ``wait``: the factor of
    its waits between two connections."""
    state_dir = StateDir(folder)
    now = clock.Clock().now
    store = await Store.open(folder / "store.db", 1 << 24, 0.0, BID, "", now)
    described_by = Description({"count-1": {"driver": "x", "fields": {described: {}}}}, {}, {})
    await store.describe(described_by.meta_hash, described_by.sensors)
    config = Config(
        Gateway("pos-1", "checkpoint", "security"), Broker(url, keepalive_s=keepalive_s, ca_file=ca_file), publish
    )
    presence = GatewayIdentity(TOPICS, described_by, "0.0.0", BID, now)

    async def connect(url: str, will: Will, five: bool, guess: bool) -> mqtt.MqttConnection:
        return await mqtt.connect(config.broker, url, config.gateway.id, will, five, guess)

    backoff = backoff or Backoff(asyncio.get_running_loop().time(), lambda low, high: wait * random.uniform(low, high))
    uplink = Uplink(
        config, store, connect, presence, state_dir.next_generation, clock.mono_ms, FakeInbox(), backoff, timings
    )
    task = asyncio.create_task(uplink.run())
    try:
        yield Running(store, uplink, task)
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(store.flush(), 1.0)
        uplink.stop(1.0)
        await asyncio.wait((task,), timeout=2.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close(1.0)
        state_dir.close()
