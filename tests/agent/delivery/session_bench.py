"""A session over a fake store and a fake link, on a clock that is moved by hand."""

import asyncio
from typing import Any

from agent.config.settings import Publish
from agent.delivery.context import DeliveryContext
from agent.delivery.live_lane import LiveLane
from agent.delivery.session import Session, SessionStart
from agent.delivery.timings import DeliveryTimings
from tests.agent.fakes import PRESENCE, TOPICS, FakeClock, FakeInbox, FakeLink, FakeStore, Sent
from tests.support.mosquitto import until

AIR = "telemetry/air-1"


class Link(FakeLink):
    """Acknowledges at once, but for topics in ``silent``; ``refuses``: reason codes by topic."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.silent: set[str] = set()
        self.refuses: dict[str, int] = {}

    def publish(self, topic: str, payload: bytes, *more: Any, **others: Any) -> int:
        mid = super().publish(topic, payload, *more, **others)
        if topic not in self.silent:
            asyncio.get_running_loop().call_soon(lambda: self.on_ack(mid, self.refuses.get(topic, 0)))
        return mid

    def leaves(self) -> list[str]:
        """Below the gateway's path, in their order."""
        return [sent.topic.removeprefix(TOPICS.base + "/") for sent in self.sent]

    def on(self, topic: str) -> list[Sent]:
        """What was published on a topic."""
        return [sent for sent in self.sent if sent.topic == topic]


class Inbox(FakeInbox):
    """With answers that wait, and a topic."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[str, bytes, bool]] = []
        self.flush = False

    def topics(self) -> list[str]:
        return [TOPICS.commands]

    def answer(self) -> tuple[str, bytes, bool] | None:
        return self.answers.pop(0) if self.answers else None

    def flushed(self) -> bool:
        return self.flush


class Bench:
    """A session over a fake store and link, on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.link = Link()
        self.inbox = Inbox()
        self.wake = asyncio.Event()
        self.timings = DeliveryTimings()
        self.lane = LiveLane(self.store.accounts, self.timings)
        self.proofs: list[bool] = []
        self.deadline_s: float | None = None
        self.task: asyncio.Task[None] | None = None

    def begin(self, *, first: bool = False, careful: bool = False) -> Session:
        """A session that does not run yet."""
        settings = Publish(max_delay_s=0.0)
        context = DeliveryContext(self.store, self.lane, PRESENCE, settings, self.timings, self.clock.clocks())
        self.session = Session(context, self.link, self.inbox, self.wake, SessionStart(careful, first))
        self.session.on_proof = self.proofs.append
        return self.session

    async def start(self, *, first: bool = False) -> None:
        """Run a session until it has introduced the gateway."""
        session = self.begin(first=first)
        self.task = asyncio.create_task(session.run(lambda: self.deadline_s))
        await until(lambda: session.introduced)

    def measure(self, count: int = 1) -> None:
        """Rows are committed."""
        numbers = self.store.put(AIR, count)
        self.lane.add_committed(AIR, numbers.start, self.clock.mono_ms(), self.clock.now_s)
        self.wake.set()

    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.wake.set()

    async def rounds(self, count: int = 20) -> None:
        """Let the session come round, whether or not it has something to do."""
        for _ in range(count):
            self.wake.set()
            await asyncio.sleep(0)

    async def stop(self, within_s: float = 5.0) -> None:
        assert self.task is not None
        self.deadline_s = self.clock.now_s + within_s
        self.wake.set()
        await asyncio.wait_for(self.task, 5.0)
