"""Fakes at the boundary of a runtime: a store in memory, a broker that is not there, or takes every connection."""

from collections.abc import Mapping
from typing import Any

from agent.app.runtime import Handlers, Runtime
from agent.config.resolve import ResolvedConfig
from agent.config.settings import Broker, Config
from agent.delivery.connection import BrokerUnreachable, Message, Will
from tests.agent.fakes import FakeClock, FakeLink, FakeStore


class GatewayStore(FakeStore):
    """What a whole gateway needs of its store. ``fails``: whether the next description cannot be kept."""

    durable = True
    fails = False

    async def describe(self, meta_hash: str, sensors: bytes) -> None:
        if self.fails:
            self.fails = False
            raise OSError("no room")
        self.meta_hash, self.descriptions[meta_hash] = meta_hash, sensors

    async def flush(self) -> None:
        """Everything is durable at once."""

    def unsettled(self) -> int:
        return 0


class Time:
    """The clock of the fakes, as a runtime asks it."""

    def __init__(self, clock: FakeClock) -> None:
        self.now = clock.stamp
        self.gnss: list[tuple[int, int] | None] = []

    def offer_gnss(self, t: int, mono_ms: int) -> None:
        self.gnss.append((t, mono_ms))

    def forget_gnss(self) -> None:
        self.gnss.append(None)


class FakeState:
    """What is kept beside the store."""

    def __init__(self) -> None:
        self._generation = 0

    def secret(self, name: str, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def next_generation(self) -> int:
        self._generation += 1
        return self._generation


class FakeConnections:
    """``there``: whether the broker is reached. ``links``: every connection that it took; ``urls``: every try."""

    def __init__(self, there: bool = False) -> None:
        self.there = there
        self.links: list[FakeLink] = []
        self.urls: list[str] = []

    async def connect(self, config: Config, url: str, will: Will | None, mqtt5: bool, guess: bool) -> FakeLink:
        self.urls.append(url)
        if not self.there:
            raise BrokerUnreachable("nobody listens")
        self.links.append(FakeLink(mqtt5=mqtt5))
        return self.links[-1]


class FakeCertificates:
    """A gateway without a certificate."""

    def __init__(self) -> None:
        self.on_used: Any = None
        self.on_outcome: Any = None

    async def request(self, settings: Broker, gateway: str) -> Mapping[str, str]:
        raise LookupError

    async def stage(self, settings: Broker, gateway: str, pem: str, moment: object) -> int:
        raise LookupError

    def fingerprint(self, settings: Broker) -> str:
        return ""

    async def ends_ms(self, settings: Broker) -> int:
        return 0


class RuntimeBench:
    """A runtime and what it stands on. ``configured``: messages about configurations."""

    def __init__(self, there: bool = False) -> None:
        clock = FakeClock()
        self.store = GatewayStore(clock)
        self.connections = FakeConnections(there)
        self.configured: list[Message] = []
        handlers = Handlers(self.configured.append, self._opened, self._planned)
        self.clock = Time(clock)
        self.runtime = Runtime(
            self.store, FakeState(), self.clock, "b0070000", FakeCertificates(), self.connections, handlers
        )

    async def close(self) -> None:
        """Stop everything."""
        await self.runtime.stop_sensors()
        await self.runtime.close(0.1)

    async def _opened(self, raw: bytes) -> bytes:
        return raw

    async def _planned(self, raw: bytes, running: ResolvedConfig) -> object:
        return {"sensors": sorted(running.drivers)}
