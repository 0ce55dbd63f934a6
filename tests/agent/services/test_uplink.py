"""How the uplink comes back: versions, Wills, waiting times, and what is said of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from agent.core import wire
from agent.core.backoff import Backoff
from agent.core.link import LinkLost, Message, NotReached, TakenOver, Unanswered, Will, WrongVersion
from agent.core.reading import Fresh
from agent.core.settings import Broker, Config, Gateway
from agent.services import uplink
from agent.services.presence import Description, Presence
from tests.agent.services.fakes import FakeClock, FakeInbox, FakeLink, FakeStore
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

    def __init__(self, protocol: str = "auto", url: Any = "mqtt://a", wait_s: float = 0.001) -> None:
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.generation = 0
        self.tries: list[tuple[str, bool, bool, dict[str, Any]]] = []
        self.answers: list[Any] = []
        self.waits: list[float] = []
        config = Config(Gateway("batua-01", "batua", "health"), Broker(url, protocol=protocol))  # type: ignore[arg-type]
        presence = Presence(TOPICS, Description({"a": {}}, {}, {}), "0.1.0", "b0070000", self.clock.stamp)
        self.mh = presence.description.mh
        self.uplink = uplink.Uplink(
            config, self.store, self._dialed, presence, self._next, self.clock.mono_ms, FakeInbox(), Waiting(wait_s)
        )
        self._task: asyncio.Task[None] | None = None

    def _next(self) -> int:
        self.generation += 1
        return self.generation

    async def _dialed(self, url: str, will: Will, five: bool, guess: bool) -> Any:
        return await self.connect(url, will, five, guess)

    async def connect(self, url: str, will: Will, five: bool, guess: bool) -> Any:
        self.tries.append((url, five, guess, wire.decode(will.payload)))
        answer = self.answers.pop(0) if self.answers else NotReached("no more answers")
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


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def bench(**more: Any) -> Bench:
        benches.append(Bench(**more))
        return benches[-1]

    yield bench
    for one in benches:
        await one.stop()


async def test_five_is_tried_first_and_3_1_1_at_once_where_the_broker_says_so(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.start(WrongVersion("no"), Acknowledging(five=False))
    await until(lambda: bench.uplink.online)
    assert [(five, guess) for _, five, guess, _ in bench.tries] == [(True, True), (False, False)]


async def test_a_broker_that_does_not_answer_is_tried_in_turn_with_each_version(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.start(Unanswered("?"), Unanswered("?"), Unanswered("?"))
    await bench.tried(4)
    assert [five for _, five, _, _ in bench.tries][:4] == [True, False, True, False]


async def test_a_version_that_worked_is_kept_through_silent_closes(make: Callable[..., Bench]) -> None:
    bench = make()
    link = Acknowledging()
    bench.start(link, Unanswered("restarting"), Unanswered("restarting"))
    await until(lambda: bench.uplink.online)
    link.broken.set()
    await bench.tried(3)
    assert [(five, guess) for _, five, guess, _ in bench.tries][:3] == [(True, True), (True, False), (True, False)]


@pytest.mark.parametrize(("protocol", "five"), [("5", True), ("3.1.1", False)])
async def test_a_configured_version_is_not_left(make: Callable[..., Bench], protocol: str, five: bool) -> None:
    bench = make(protocol=protocol)
    bench.start(WrongVersion("no"), Unanswered("?"))
    await bench.tried(3)
    assert {(one, guess) for _, one, guess, _ in bench.tries} == {(five, False)}


async def test_brokers_are_tried_in_their_order(make: Callable[..., Bench]) -> None:
    bench = make(url=("mqtt://a", "mqtt://b"))
    bench.start()
    await bench.tried(4)
    assert [url for url, _, _, _ in bench.tries[:4]] == ["mqtt://a", "mqtt://b"] * 2


async def test_each_session_has_a_higher_generation_and_a_broker_out_of_reach_costs_none(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    first, second = Acknowledging(), Acknowledging()
    bench.start(NotReached("x"), NotReached("x"), first, NotReached("x"), LinkLost("after CONNECT"), second)
    await until(lambda: bench.uplink.online)
    first.broken.set()
    await until(lambda: len(bench.tries) == 6)
    assert [will["gen"] for _, _, _, will in bench.tries] == [1, 1, 1, 2, 2, 3]
    assert bench.tries[0][3] == {
        "v": 1,
        "online": False,
        "gen": 1,
        "ep": "aaaaaaaa",
        "bid": "b0070000",
        "agent": "0.1.0",
        "t": bench.clock.stamp().t,
        "reason": "lwt",
    }


async def test_a_session_begins_with_state_meta_and_streams_and_then_delivers(make: Callable[..., Bench]) -> None:
    bench = make()
    link = Acknowledging()
    bench.store.put("telemetry/a", 2, mh=bench.mh)
    bench.start(link)
    await until(lambda: bool(bench.store.on_commit) and len(link.sent) >= 3)
    numbers = bench.store.put("telemetry/b", 1, mh=bench.mh)
    bench.store.on_commit({"telemetry/b": Fresh(numbers.start, numbers.stop, bench.clock.mono_ms(), True)})
    await until(lambda: len(link.sent) >= 5)
    assert link.subscribed == [TOPICS.state, TOPICS.streams]
    leaves = [one.topic.removeprefix(TOPICS.base + "/") for one in link.sent]
    assert leaves[:3] == ["state", "meta", "streams"]
    assert sorted(leaves[3:]) == ["telemetry/a", "telemetry/b"]
    assert all(one.retain for one in link.sent[:3])
    assert not any(one.retain for one in link.sent[3:])


async def test_numbers_that_the_broker_knows_and_the_store_does_not_begin_a_new_epoch(
    make: Callable[..., Bench],
) -> None:
    bench = make()

    class Remembering(Acknowledging):
        async def subscribe(self, topics: list[str]) -> None:
            await super().subscribe(topics)
            kept = wire.streams("aaaaaaaa", 1, {"telemetry/a": {"first": 1, "lo": 9, "next": 9}})
            self.on_message(Message(TOPICS.streams, kept, True))

    bench.store.put("telemetry/a", 2)
    link = Remembering()
    bench.start(link)
    await until(lambda: len(link.sent) >= 4)
    assert {"ev": "store_reset", "why": "behind_broker"} in bench.store.announced
    assert [one.message["ep"] for one in link.sent if one.topic == TOPICS.state] == ["aaaaaaaa", "bbbbbbbb"]


async def test_a_state_that_is_not_ours_is_published_over_once(make: Callable[..., Bench]) -> None:
    bench = make()
    link = Acknowledging()
    bench.start(link)
    await until(lambda: len(link.sent) >= 3)
    own = link.sent[0].payload
    link.on_message(Message(TOPICS.state, own, False))
    for _ in range(5):
        link.on_message(Message(TOPICS.state, b'{"v":1,"online":false,"gen":0}', False))
    await until(lambda: len(link.sent) >= 4)
    assert [one.payload for one in link.sent if one.topic == TOPICS.state] == [own, own]


async def test_a_takeover_is_told_and_kept_away_from(make: Callable[..., Bench]) -> None:
    bench = make()

    class Taken(Acknowledging):
        async def lost(self) -> LinkLost:
            await self.broken.wait()
            return TakenOver("another one")

    link = Taken()
    bench.start(link)
    await until(lambda: bench.uplink.online)
    link.broken.set()
    await until(lambda: any(row["ev"] == "client_id_conflict" for row in bench.store.announced))


async def test_the_same_reason_is_told_once(make: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    bench = make()
    bench.start(*[NotReached("nothing listens")] * 5, *[NotReached("no route")] * 5)
    await bench.tried(10)
    assert caplog.text.count("nothing listens") == 1
    assert caplog.text.count("no route") == 1


async def test_the_goodbye_is_a_true_state(make: Callable[..., Bench]) -> None:
    bench = make()
    link = Acknowledging()
    bench.start(link)
    await until(lambda: len(link.sent) >= 3)
    await bench.stop()
    assert [one.topic for one in link.sent[-2:]] == [TOPICS.streams, TOPICS.state]
    last = link.sent[-1].message
    assert (last["online"], last["reason"]) == (False, "shutdown")
    assert link.closed == "goodbye"


async def test_a_new_connection_on_purpose_is_made_to_the_first_broker(make: Callable[..., Bench]) -> None:
    bench = make(url=("mqtt://a", "mqtt://b"))
    bench.store.put("telemetry/a", 1, mh=bench.mh)
    bench.start(NotReached("no"), Dropping(), Dropping())
    await until(lambda: not bench.store.accounts["telemetry/a"].unsettled())
    bench.uplink.reconnect()
    await bench.tried(3)
    assert [url for url, _, _, _ in bench.tries] == ["mqtt://a", "mqtt://b", "mqtt://a"]


async def test_a_new_connection_on_purpose_is_made_at_once_and_is_no_failure(
    make: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(wait_s=3600.0)
    bench.start(Dropping(), Dropping())
    await until(lambda: bench.uplink.online)
    bench.uplink.reconnect()
    await until(lambda: len(bench.tries) == 2 and bench.uplink.online)
    assert [will["gen"] for _, _, _, will in bench.tries] == [1, 2]
    assert "connection lost" not in caplog.text
    assert "not connected" not in caplog.text


async def test_what_changes_while_it_connects_counts_from_the_next_connection_on(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.start(Dropping(), Dropping())
    connect, meant = bench.connect, iter([True])

    async def change(*words: Any) -> Any:
        link = await connect(*words)
        if next(meant, False):
            bench.uplink.reconnect()
        return link

    bench.connect = change  # type: ignore[method-assign]
    await until(lambda: len(bench.tries) == 2 and bench.uplink.online)
