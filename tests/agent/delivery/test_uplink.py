"""How the uplink holds sessions: what it learns from each, and what is said of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent.base.reading import CommittedRange
from agent.delivery import wire
from agent.delivery.connection import BrokerUnreachable, ConnectionLost, Limits, Message, SessionTakenOver
from agent.delivery.timings import DeliveryTimings
from tests.agent.delivery.uplink_bench import TOPICS, Acknowledging, Bench, Dropping
from tests.agent.fakes import FakeLink
from tests.support.mosquitto import until


async def test_a_session_begins_with_state_meta_and_streams_and_then_delivers(make: Callable[..., Bench]) -> None:
    bench = make()
    link = Acknowledging()
    bench.store.put("telemetry/a", 2, meta_hash=bench.meta_hash)
    bench.start(link)
    await until(lambda: bool(bench.store.on_commit) and len(link.sent) >= 3)
    numbers = bench.store.put("telemetry/b", 1, meta_hash=bench.meta_hash)
    bench.store.on_commit({"telemetry/b": CommittedRange(numbers.start, numbers.stop, bench.clock.mono_ms(), True)})
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
        async def lost(self) -> ConnectionLost:
            await self.broken.wait()
            return SessionTakenOver("another one")

    link = Taken()
    bench.start(link)
    await until(lambda: bench.uplink.online)
    link.broken.set()
    await until(lambda: any(row["ev"] == "client_id_conflict" for row in bench.store.announced))


async def test_the_same_reason_is_told_once(make: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    bench = make()
    bench.start(*[BrokerUnreachable("nothing listens")] * 5, *[BrokerUnreachable("no route")] * 5)
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


async def test_after_a_broker_that_did_not_acknowledge_the_next_session_begins_with_little(
    make: Callable[..., Bench],
) -> None:
    bench = make(timings=DeliveryTimings(ack_s=0.1))
    bench.store.put("telemetry/a", 2000, meta_hash=bench.meta_hash, size=300)
    bench.start(FakeLink(), Acknowledging(), Acknowledging())
    silent, patient = bench.answers[0], bench.answers[1]
    patient.limits = Limits()
    held: list[int] = []

    def hold(topic: str, payload: bytes, *more: Any, **others: Any) -> int:
        mid = FakeLink.publish(patient, topic, payload, *more, **others)
        if "telemetry" not in topic:
            asyncio.get_running_loop().call_soon(lambda: patient.on_ack(mid, 0))
        else:
            held.append(len(payload))
        return mid

    patient.publish = hold
    await until(lambda: bool(held))
    assert [sent.topic for sent in silent.sent] == [TOPICS.state]
    bench.uplink.wake()
    await asyncio.sleep(0)
    assert sum(held) <= 16_384 / 2 + 65_536
    assert len(held) == 1, "one message fills a careful window"
