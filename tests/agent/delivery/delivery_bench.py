"""A delivery over a fake store and link, on a clock that is moved by hand."""

from agent.config.settings import Publish
from agent.delivery.connection import Limits
from agent.delivery.context import DeliveryContext
from agent.delivery.live_lane import LiveLane
from agent.delivery.scheduler import Delivery
from agent.delivery.timings import DeliveryTimings
from tests.agent.fakes import PRESENCE, FakeClock, FakeLink, FakeStore, Sent

AIR, DOOR = "telemetry/air-1", "event/door-1"


class Bench:
    """A delivery over a fake store and link. ``settings`` and ``limits`` are those of the next :meth:`connect`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.timings = DeliveryTimings()
        self.lane = LiveLane(self.store.accounts, self.timings)
        self.settings = Publish()
        self.connect()

    def connect(self, limits: Limits | None = None) -> None:
        """A new connection: the window is empty, the lane goes on."""
        self.link = FakeLink(limits or Limits())
        context = DeliveryContext(self.store, self.lane, PRESENCE, self.settings, self.timings, self.clock.clocks())
        self.delivery = Delivery(context, self.link, careful=False)

    def restart(self) -> None:
        """The process starts again: what is there was perhaps sent before."""
        self.lane = LiveLane(self.store.accounts, self.timings)
        self.connect()

    def measure(self, stream: str, count: int = 1, age_s: float = 0.0, due_s: float = 0.0, **more: object) -> None:
        """Put rows into the store, and tell of the commit."""
        numbers = self.store.put(stream, count, age_s, **more)  # type: ignore[arg-type]
        mono_ms = self.clock.mono_ms() - int(age_s * 1000)
        self.lane.add_committed(stream, numbers.start, mono_ms, self.clock.now_s + due_s)

    async def send(self) -> list[Sent]:
        """Everything that is due now."""
        while await self.delivery.send() <= self.clock.now_s:
            pass
        return self.link.take()

    def acknowledge(self, *sent: Sent, failure: int = 0) -> None:
        for one in sent:
            self.delivery.on_ack(one.mid, failure)
