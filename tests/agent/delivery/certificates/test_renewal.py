"""The end of a certificate is told at each step once; a new one is tried, and its outcome heard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from agent.base.errors import RejectedError
from agent.base.reading import Stamp
from agent.base.timekeeping.trusted_time import TrustedTime
from agent.config.settings import Broker
from agent.delivery.certificates.renewal import Renewal
from tests.agent.fakes import FakeClock, FakeStore

pytestmark = pytest.mark.virtual_time

DAY_MS = 86_400_000


class FakeCertificates:
    """``outcome``: what becomes of a pair that is tried."""

    def __init__(self, ends_ms: int) -> None:
        self.on_used: Callable[[], None] = lambda: None
        self.on_outcome: Callable[[str], None] = lambda why: None
        self.mark = "first"
        self.ends = ends_ms
        self.reads = 0
        self.unreadable = False

    async def request(self, settings: Broker, gateway: str) -> Mapping[str, str]:
        return {"csr": gateway}

    async def stage(self, settings: Broker, gateway: str, pem: str, moment: TrustedTime) -> int:
        if pem == "wrong":
            raise RejectedError("certificate_key", "wrong")
        return self.ends

    def fingerprint(self, settings: Broker) -> str:
        return self.mark

    async def ends_ms(self, settings: Broker) -> int:
        self.reads += 1
        if self.unreadable:
            raise RejectedError("malformed", "cannot be read")
        return self.ends


class Post:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.is_set = True
        self.certificates = FakeCertificates(self.clock.stamp().t + 800 * DAY_MS)
        self.tasks: list[asyncio.Task[None]] = []
        self.reconnect: Callable[[], None] = lambda: None
        self.renewal = self.start()

    def start(self) -> Renewal:
        """As after a restart of the agent."""
        for task in self.tasks:
            task.cancel()
        self.renewal = Renewal(self.certificates, self.store, self.now, 0, lambda: self.reconnect())
        self.renewal.use(Broker(url="mqtts://broker.example"), "pos-1")
        self.tasks.append(asyncio.create_task(self.renewal.watch()))
        return self.renewal

    def now(self) -> Stamp:
        return self.clock.stamp()._replace(clock_quality=int(self.is_set))

    async def look(self) -> None:
        """Have it look once more: it does that every minute."""
        await asyncio.sleep(61.0)

    def at(self, left: float) -> None:
        """Move the clock to so many days before the end."""
        self.clock.now_s += (self.certificates.ends - self.clock.stamp().t - left * DAY_MS) / 1000

    @property
    def expires(self) -> list[tuple[object, object]]:
        return [(one["days"], one["sev"]) for one in self.store.announced if one["ev"] == "certificate_expires"]


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    post = Post()
    await post.look()
    assert post.renewal.ends_ms is not None
    yield post
    for task in post.tasks:
        task.cancel()
    await asyncio.gather(*post.tasks, return_exceptions=True)


async def test_each_step_is_told_once_over_restarts_too(post: Post) -> None:
    for left in (400, 31, 29.5, 20, 13.5, 10, 6.5, 3.5, 2.5, 1, -0.5, -9):
        post.at(left)
        await post.look()
        post.start()
        await post.look()
    assert post.expires == [(29, "warn"), (13, "warn"), (6, "warn"), (2, "alarm"), (-1, "alarm")]


async def test_steps_that_passed_unseen_are_told_as_one_and_a_new_certificate_begins_anew(post: Post) -> None:
    post.at(5)
    await post.look()
    assert post.expires == [(5, "warn")]
    post.certificates.mark, post.certificates.ends = "second", post.clock.stamp().t + 6 * DAY_MS
    post.certificates.on_used()
    await post.look()
    assert post.expires == [(5, "warn"), (6, "warn")]
    await post.look()
    assert post.certificates.reads == 2, "each is read once"


async def test_an_unset_clock_tells_nothing(post: Post) -> None:
    post.is_set = False
    post.at(1)
    await post.look()
    assert post.expires == []
    assert post.renewal.status().remaining_s is None
    post.is_set = True
    await post.look()
    assert post.expires == [(1, "alarm")]
    assert post.renewal.status().remaining_s == 86_400


async def test_one_that_cannot_be_read_is_not_read_again_and_again(post: Post) -> None:
    post.certificates.mark, post.certificates.unreadable = "broken", True
    await post.look()
    assert post.renewal.ends_ms is None
    reads = post.certificates.reads
    await post.look()
    assert post.certificates.reads == reads


async def test_a_new_one_is_tried_at_once_and_its_outcome_heard(post: Post) -> None:
    connections: list[str] = []

    def taken() -> None:
        connections.append("taken")
        post.certificates.on_outcome("")

    post.reconnect = taken
    assert await post.renewal.install("right") == post.certificates.ends
    post.reconnect = lambda: post.certificates.on_outcome("no TLS with broker.example")
    with pytest.raises(RejectedError) as caught:
        await post.renewal.install("right")
    assert (caught.value.code, str(caught.value)) == ("not_accepted", "no TLS with broker.example")
    with pytest.raises(RejectedError):
        await post.renewal.install("wrong")
    assert connections == ["taken"]
    names = [one["ev"] for one in post.store.announced]
    assert names == ["certificate_renewed", "certificate_refused"]


async def test_the_outcome_of_a_trial_from_before_a_restart_is_told(post: Post) -> None:
    post.certificates.on_outcome("")
    assert [one["ev"] for one in post.store.announced] == ["certificate_renewed"]
