"""One session: deliver, hand on what comes, keep the timers, say goodbye."""

import asyncio

import pytest

from agent.delivery.connection import ConnectionLost, Limits, Message
from agent.delivery.session import Unacknowledged
from tests.agent.delivery.session_bench import AIR, Bench, Link
from tests.agent.fakes import TOPICS
from tests.support.mosquitto import until


async def test_a_message_that_is_not_acknowledged_in_time_ends_the_session(bench: Bench) -> None:
    bench.link.silent = {f"{TOPICS.base}/{AIR}"}
    await bench.start()
    bench.measure()
    await until(lambda: AIR in bench.link.leaves())
    bench.pass_time(bench.timings.ack_s - 0.1)
    await bench.rounds()
    assert bench.task is not None
    assert not bench.task.done()
    bench.pass_time(0.1)
    with pytest.raises(Unacknowledged):
        await asyncio.wait_for(bench.task, 5.0)
    assert not bench.session.progressed


async def test_a_message_that_was_passed_over_does_not_end_the_session(bench: Bench) -> None:
    bench.link.silent = {f"{TOPICS.base}/{AIR}"}
    await bench.start()
    bench.measure()
    await until(lambda: AIR in bench.link.leaves())
    bench.pass_time(1.0)
    bench.inbox.answers = [(TOPICS.reply("a"), b"{}", False)]
    await until(lambda: "reply/a" in bench.link.leaves())
    bench.link.silent = set()
    bench.pass_time(bench.timings.ack_s)
    await until(lambda: not bench.store.accounts[AIR].unsettled())
    assert bench.link.leaves().count(AIR) == 2


async def test_streams_are_told_again_when_they_have_changed_and_not_otherwise(bench: Bench) -> None:
    await bench.start()
    bench.pass_time(bench.timings.streams_s)
    await bench.rounds()
    assert len(bench.link.on(TOPICS.streams)) == 1, "nothing has changed"
    bench.measure()
    await until(lambda: not bench.store.accounts[AIR].unsettled())
    bench.pass_time(bench.timings.streams_s - 1.0)
    await bench.rounds()
    assert len(bench.link.on(TOPICS.streams)) == 1, "it is too soon"
    bench.pass_time(1.0)
    await until(lambda: len(bench.link.on(TOPICS.streams)) == 2)
    last = bench.link.on(TOPICS.streams)[-1]
    assert last.retain
    assert last.message["streams"][AIR] == {"first": 1, "lo": 2, "next": 2}


async def test_what_the_city_sends_is_handed_on_and_its_own_topics_are_not(bench: Bench) -> None:
    await bench.start()
    command = Message(f"{TOPICS.base}/command/ping", b"{}", False)
    for message in (command, Message(TOPICS.state, b"{}", False), Message(TOPICS.streams, b"{}", False)):
        bench.link.on_message(message)
    assert bench.inbox.heard == [command]


async def test_answers_are_sent(bench: Bench) -> None:
    await bench.start()
    bench.inbox.answers = [(TOPICS.reported, b"{1}", True), (TOPICS.reply("a"), b"{2}", False)]
    bench.wake.set()
    await until(lambda: "reply/a" in bench.link.leaves())
    assert [(sent.payload, sent.retain) for sent in bench.link.sent[-2:]] == [(b"{1}", True), (b"{2}", False)]


async def test_answers_wait_for_room_in_the_window(bench: Bench) -> None:
    bench.link.limits = Limits(receive_maximum=1)
    await bench.start()
    bench.link.silent = {TOPICS.reported}
    bench.inbox.answers = [(TOPICS.reported, b"{1}", True), (TOPICS.reply("a"), b"{2}", False)]
    await bench.rounds()
    assert bench.link.leaves()[-1] == "config/reported"
    bench.link.on_ack(bench.link.sent[-1].mid, 0)
    await until(lambda: "reply/a" in bench.link.leaves())


async def test_a_flush_sends_at_once_what_waits_for_its_batch(bench: Bench) -> None:
    await bench.start()
    numbers = bench.store.put(AIR, 1)
    bench.lane.add_committed(AIR, numbers.start, bench.clock.mono_ms(), bench.clock.now_s + 60.0)
    await bench.rounds()
    assert AIR not in bench.link.leaves()
    bench.inbox.flush = True
    bench.wake.set()
    await until(lambda: AIR in bench.link.leaves())


async def test_a_state_that_was_written_over_is_repeated_at_most_every_few_seconds(bench: Bench) -> None:
    await bench.start()
    other = Message(TOPICS.state, b'{"v":1,"online":false}', False)
    for _ in range(3):
        bench.link.on_message(other)
    assert len(bench.link.on(TOPICS.state)) == 2
    bench.clock.now_s += bench.timings.repeat_state_s
    bench.link.on_message(other)
    first, *others = bench.link.on(TOPICS.state)
    assert [sent.payload for sent in others] == [first.payload] * 2
    assert all(sent.retain for sent in others)
    assert not bench.session.saw_foreign_state


async def test_events_are_no_proof_that_telemetry_is_taken(bench: Bench) -> None:
    await bench.start()
    numbers = bench.store.put("event/door-1", 1)
    bench.lane.add_committed("event/door-1", numbers.start, bench.clock.mono_ms(), bench.clock.now_s)
    await until(lambda: bench.wake.set() is None and bench.session.progressed)
    assert bench.proofs == []


async def test_a_connection_that_ends_counts_against_what_was_under_way(bench: Bench) -> None:
    for _ in range(2):
        bench.link = Link()
        bench.link.silent = {f"{TOPICS.base}/{AIR}"}
        await bench.start()
        bench.measure()
        await until(lambda: AIR in bench.link.leaves())
        bench.link.broken.set()
        assert bench.task is not None
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(bench.task, 5.0)
    assert bench.lane.poison.lockstep


async def test_the_goodbye_delivers_what_is_live_and_ends_with_a_true_state(bench: Bench) -> None:
    await bench.start()
    bench.measure(3)
    await bench.stop()
    assert bench.link.leaves()[3:] == [AIR, "streams", "state"]
    assert bench.link.sent[-2].message["streams"][AIR]["lo"] == 4, "after the acknowledgement"
    state = bench.link.sent[-1].message
    assert (state["online"], state["reason"]) == (False, "shutdown")
    assert bench.link.closed == "goodbye"


async def test_the_goodbye_is_not_kept_waiting_by_rows_that_are_not_acknowledged(bench: Bench) -> None:
    await bench.start()
    bench.link.silent = {f"{TOPICS.base}/{AIR}"}
    bench.measure()
    await until(lambda: AIR in bench.link.leaves())
    bench.deadline_s = bench.clock.now_s + 5.0
    await bench.rounds()
    assert bench.link.leaves()[-1] == AIR
    bench.pass_time(5.0 - bench.timings.goodbye_s)
    assert bench.task is not None
    await asyncio.wait_for(bench.task, 5.0)
    assert bench.link.leaves()[-2:] == ["streams", "state"]


async def test_a_goodbye_that_is_not_answered_ends_in_time(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.start()
    bench.link.silent = {TOPICS.streams}
    await bench.stop(within_s=0.05)
    assert "did not acknowledge the final messages in time" in caplog.text
    assert bench.link.closed == ""


async def test_each_wake_is_a_step_that_can_be_seen(bench: Bench) -> None:
    await bench.start()
    bench.pass_time(7.0)
    await until(lambda: bench.session.last_step_s == bench.clock.now_s)
