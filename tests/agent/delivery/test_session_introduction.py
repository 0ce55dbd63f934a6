"""How a session begins: who, what and where it stands; what the broker kept; an old path."""

import asyncio

import pytest

from agent.delivery import wire
from agent.delivery.connection import ConnectionLost, Limits, Message
from agent.delivery.session import Unacknowledged
from agent.delivery.timings import DeliveryTimings
from tests.agent.delivery.session_bench import AIR, Bench, Link
from tests.agent.fakes import PRESENCE, TOPICS
from tests.support.mosquitto import until


async def test_it_subscribes_and_says_who_what_and_where_before_any_reading(bench: Bench) -> None:
    bench.measure()
    await bench.start()
    await until(lambda: AIR in bench.link.leaves())
    assert bench.link.subscribed == [TOPICS.state, TOPICS.streams, TOPICS.commands]
    assert bench.link.leaves() == ["state", "meta", "streams", AIR]
    assert [sent.retain for sent in bench.link.sent] == [True, True, True, False]
    state = bench.link.sent[0].message
    assert (state["online"], state["reason"]) == (True, "start")
    assert bench.session.progressed
    assert bench.proofs == [True]


@pytest.mark.parametrize("silent", ["state", "meta", "streams"])
async def test_each_step_of_the_introduction_waits_for_its_acknowledgement(bench: Bench, silent: str) -> None:
    bench.timings = DeliveryTimings(ack_s=0.05)
    bench.link.silent = {f"{TOPICS.base}/{silent}"}
    session = bench.begin()
    with pytest.raises(Unacknowledged):
        await session.run(lambda: None)
    assert bench.link.leaves()[-1] == silent
    assert not session.introduced


@pytest.mark.parametrize(("before", "foreign"), [(b'{"v":1,"gen":7}', True), (b"", False), (None, False)])
async def test_a_state_of_somebody_else_is_noticed(bench: Bench, before: bytes | None, foreign: bool) -> None:
    bench.begin()
    before = PRESENCE.state("aaaaaaaa", online=False, reason="lwt") if before is None else before
    bench.link.on_message(Message(TOPICS.state, before, True))
    assert bench.session.saw_foreign_state == foreign


async def test_its_own_state_coming_back_proves_that_the_broker_delivers(bench: Bench) -> None:
    await bench.start()
    assert bench.proofs == []
    bench.link.on_message(Message(TOPICS.state, bench.link.sent[0].payload, False))
    assert bench.proofs == [False]
    assert bench.store.recall("topics.base") == TOPICS.base
    assert len(bench.link.on(TOPICS.state)) == 1


async def test_an_old_path_is_cleared_and_the_new_one_remembered_once_it_is_in_use(bench: Bench) -> None:
    old = wire.Topics.of("makassar", "health", "elsewhere", "batua-01")
    bench.store.remember("topics.base", old.base)
    await bench.start()
    await until(lambda: len(bench.link.sent) == 7)
    cleared = bench.link.sent[3:]
    assert [sent.topic for sent in cleared] == [old.state, old.meta, old.streams, old.reported]
    assert all(sent.payload == b"" and sent.retain for sent in cleared)
    assert bench.store.recall("topics.base") == old.base
    bench.link.on_message(Message(TOPICS.state, bench.link.sent[0].payload, False))
    assert bench.store.recall("topics.base") == TOPICS.base


async def test_an_old_path_at_which_the_broker_ends_the_connection_is_tried_twice(bench: Bench) -> None:
    bench.store.remember("topics.base", "makassar/v1/health/elsewhere/batua-01")
    for _ in range(3):
        bench.link = Link()
        await bench.start()
        await bench.rounds()
        assert bench.task is not None
        bench.task.cancel()
    assert bench.lane.clear_attempts == 2
    assert len(bench.link.sent) == 3


async def test_the_broker_s_newer_numbers_count_at_the_first_session_alone(bench: Bench) -> None:
    kept = wire.streams("aaaaaaaa", 1, {AIR: {"first": 1, "lo": 9, "next": 9}})
    session = bench.begin(first=False)
    bench.link.on_message(Message(TOPICS.streams, kept, True))
    bench.task = asyncio.create_task(session.run(lambda: None))
    await until(lambda: session.introduced)
    assert bench.store.announced == []
    bench.task.cancel()
    session = bench.begin(first=True)
    bench.link.on_message(Message(TOPICS.streams, kept, True))
    bench.task = asyncio.create_task(session.run(lambda: None))
    await until(lambda: session.introduced)
    assert bench.store.announced == [{"ev": "store_reset", "why": "behind_broker"}]


@pytest.mark.parametrize(
    "kept",
    [
        b"{",
        b'{"v":1,"ep":"bbbbbbbb","streams":{"telemetry/air-1":{"next":9}}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":["telemetry/air-1"]}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/air-1":9}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/air-1":{"next":"9"}}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/air-1":{"next":3}}}',
        b'{"v":1,"ep":"aaaaaaaa","streams":{"telemetry/new":{"next":1}}}',
    ],
)
async def test_streams_that_are_not_ahead_or_make_no_sense_begin_no_epoch(bench: Bench, kept: bytes) -> None:
    bench.store.put(AIR, 2)
    session = bench.begin(first=True)
    bench.link.on_message(Message(TOPICS.streams, kept, True))
    bench.task = asyncio.create_task(session.run(lambda: None))
    await until(lambda: session.introduced)
    assert bench.store.announced == []


async def test_rows_that_only_the_memory_of_a_crashed_agent_held_are_reported(bench: Bench) -> None:
    bench.store.put(AIR, 2)
    numbers = {
        "telemetry/air-1": {"first": 3, "lo": 5, "next": 9},
        "telemetry/unknown": {"first": 1, "lo": 1, "next": 9},
    }
    session = bench.begin(first=True)
    bench.link.on_message(Message(TOPICS.streams, wire.streams("cccccccc", 1, numbers), True))
    bench.task = asyncio.create_task(session.run(lambda: None))
    await until(lambda: session.introduced)
    (row,) = bench.store.announced
    assert row == {
        "ev": "rows_lost",
        "sev": "warn",
        "stream": AIR,
        "ep": "cccccccc",
        "from": 5,
        "to": 8,
        "n": 4,
        "why": "memory",
    }
    bench.task.cancel()
    session = bench.begin(first=True)
    bench.link.on_message(Message(TOPICS.streams, wire.streams("cccccccc", 1, numbers), True))
    bench.task = asyncio.create_task(session.run(lambda: None))
    await until(lambda: session.introduced)
    assert len(bench.store.announced) == 1, "they were reported before"


async def test_a_new_epoch_is_announced_at_once(bench: Bench) -> None:
    bench.store.put(AIR, 2)
    await bench.start()

    def epochs() -> list[str]:
        return [wire.decode(sent.payload)["ep"] for sent in bench.link.sent if sent.topic == TOPICS.streams]

    assert epochs() == ["aaaaaaaa"]
    await bench.store.begin_epoch("not_durable")
    bench.wake.set()
    await until(lambda: epochs() == ["aaaaaaaa", "bbbbbbbb"])


async def test_a_topic_that_the_broker_refuses_is_logged_and_the_session_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.link.refuses = {TOPICS.meta: 0x87}
    await bench.start()
    assert "refuses makassar/v1/health/batua/batua-01/meta (reason 0x87)" in caplog.text


async def test_a_message_that_no_packet_can_hold_is_left_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.link.limits = Limits(packet_bytes=256 + len(PRESENCE.meta()) - 1)
    bench.store.put(AIR, 0)
    await bench.start()
    assert "/meta: the broker does not accept messages of" in caplog.text
    assert "meta" not in bench.link.leaves()


async def test_a_topic_at_which_the_broker_always_ends_the_connection_is_left_out(bench: Bench) -> None:
    for _ in range(3):
        bench.link = Link()
        bench.link.silent = {TOPICS.meta}
        session = bench.begin()
        bench.task = asyncio.create_task(session.run(lambda: None))
        await until(lambda: "meta" in bench.link.leaves())
        bench.link.broken.set()
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(bench.task, 5.0)
    bench.link = Link()
    await bench.start()
    assert bench.link.leaves() == ["state", "streams"]


async def test_a_state_that_is_not_its_own_proves_nothing(bench: Bench) -> None:
    await bench.start()
    bench.link.on_message(Message(TOPICS.state, b'{"v":1,"online":false}', False))
    bench.link.on_message(Message(TOPICS.reported, bench.link.sent[0].payload, False))
    assert bench.proofs == []
    assert bench.store.recall("topics.base") == ""
