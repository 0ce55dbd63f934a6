"""An uplink whose tries to connect are answered by the test."""

import asyncio
from typing import Any

from agent.config.settings import Broker, Config, Gateway
from agent.delivery import uplink, wire
from agent.delivery.connection import BrokerUnreachable, Will
from agent.delivery.identity import Description, GatewayIdentity
from agent.delivery.policies.backoff import Backoff
from agent.delivery.timings import DeliveryTimings
from tests.agent.fakes import FakeClock, FakeInbox, FakeLink, FakeStore
from tests.support.mosquitto import until

TOPICS = wire.Topics.of("makassar", "health", "batua", "batua-01")


class Acknowledging(FakeLink):
    """Acknowledges everything at once."""

    def publish(self, topic: str, payload: bytes, *more: Any, **others: Any) -> int:
        mid = super().publish(topic, payload, *more, **others)
        asyncio.get_running_loop().call_soon(lambda: self.on_ack(mid, 0))
        return mid


class Dropping(Acknowledging):
    """Breaks when it is dropped, as a real one does."""

    def drop(self) -> None:
        super().drop()
        self.broken.set()


class Waiting(Backoff):
    """Waits always as long, but remembers what it was told."""

    def __init__(self, seconds: float) -> None:
        super().__init__(0.0)
        self._seconds = seconds

    def wait_s(self, error: BaseException | None, now_s: float) -> float:
        return self._seconds


class Bench:
    """An uplink whose tries are answered by ``answers``, in turn: an exception, or a link."""

    def __init__(
        self,
        protocol: str = "auto",
        url: Any = "mqtt://a",
        wait_s: float = 0.001,
        timings: DeliveryTimings | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.generation = 0
        self.tries: list[tuple[str, bool, bool, dict[str, Any]]] = []
        self.answers: list[Any] = []
        self.waits: list[float] = []
        config = Config(Gateway("batua-01", "batua", "health"), Broker(url, protocol=protocol))  # type: ignore[arg-type]
        presence = GatewayIdentity(TOPICS, Description({"a": {}}, {}, {}), "0.1.0", "b0070000", self.clock.stamp)
        self.meta_hash = presence.description.meta_hash
        self.uplink = uplink.Uplink(
            config,
            self.store,
            self._dialed,
            presence,
            self._next,
            self.clock.mono_ms,
            FakeInbox(),
            Waiting(wait_s),
            timings,
        )
        self._task: asyncio.Task[None] | None = None

    def _next(self) -> int:
        self.generation += 1
        return self.generation

    async def _dialed(self, url: str, will: Will, mqtt5: bool, guess: bool) -> Any:
        return await self.connect(url, will, mqtt5, guess)

    async def connect(self, url: str, will: Will, mqtt5: bool, guess: bool) -> Any:
        self.tries.append((url, mqtt5, guess, wire.decode(will.payload)))
        answer = self.answers.pop(0) if self.answers else BrokerUnreachable("no more answers")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def start(self, *answers: Any) -> None:
        self.answers = list(answers)
        self._task = asyncio.create_task(self.uplink.run())

    async def tried(self, count: int) -> None:
        await until(lambda: len(self.tries) >= count)

    async def stop(self) -> None:
        if self._task is not None:
            self.uplink.stop(0.5)
            await asyncio.wait((self._task,), timeout=2)
            self._task.cancel()
