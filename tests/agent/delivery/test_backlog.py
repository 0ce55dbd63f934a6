"""What is behind the live rows: in which order, how fast, and what becomes of it."""

import pytest

from agent.config.settings import Publish
from agent.delivery.connection import Limits
from agent.delivery.live_lane import LiveLane
from tests.agent.delivery.delivery_bench import AIR, DOOR, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_after_a_restart_everything_is_late(bench: Bench) -> None:
    bench.measure(AIR, 3)
    bench.restart()
    (sent,) = await bench.send()
    assert (sent.numbers, sent.late) == ([1, 2, 3], True)


async def test_the_backlog_is_sent_oldest_first_and_behind_a_full_set_of_live_rows(bench: Bench) -> None:
    bench.store.put(AIR, 600)
    bench.restart()
    bench.measure(AIR, 1)
    sent = await bench.send()
    assert not sent[0].late
    assert [one.numbers[0] for one in sent[1:]] == [1, 251, 501]


async def test_the_backlog_of_events_goes_before_that_of_telemetry(bench: Bench) -> None:
    bench.store.put(AIR, 3)
    bench.store.put(DOOR, 3)
    bench.restart()
    assert [sent.stream for sent in await bench.send()] == [DOOR, AIR]


async def test_the_backlog_drains_at_a_bounded_rate(bench: Bench) -> None:
    bench.settings = Publish(backlog_rows_per_s=100)
    bench.store.put(AIR, 1000)
    bench.restart()
    sent = await bench.send()
    assert sum(len(one.numbers) for one in sent) == 100
    bench.acknowledge(*sent)
    bench.clock.now_s += 0.5
    assert await bench.send() == [], "a whole message is worth waiting for"
    bench.clock.now_s += 0.5
    assert [len(one.numbers) for one in await bench.send()] == [100]


async def test_the_window_is_kept_and_live_rows_find_room_beside_a_backlog(bench: Bench) -> None:
    bench.settings = Publish(max_rows=1)
    bench.store.put(AIR, 500)
    bench.lane = LiveLane(bench.store.accounts, bench.timings)
    bench.connect(Limits(receive_maximum=8))
    assert len(await bench.send()) == 4
    bench.measure(DOOR, 9)
    assert [sent.stream for sent in await bench.send()] == [DOOR] * 4
    assert await bench.send() == []


async def test_a_broker_that_takes_one_message_at_a_time_gets_everything(bench: Bench) -> None:
    bench.store.put(AIR, 700, meta_hash="01d00000")
    bench.lane = LiveLane(bench.store.accounts, bench.timings)
    bench.connect(Limits(receive_maximum=1))
    bench.measure(DOOR, 3)
    messages = []
    while sent := await bench.send():
        assert len(sent) == 1
        messages += sent
        bench.acknowledge(*sent)
    assert [one.stream for one in messages] == [DOOR, "meta/01d00000", AIR, AIR, AIR]
    assert bench.store.accounts[AIR].unsettled() == 0


async def test_rows_that_vanished_from_the_file_are_told_as_lost(bench: Bench) -> None:
    bench.store.put(AIR, 10)
    bench.store.forget(AIR, range(4, 7))
    bench.store.forget(AIR, range(10, 11))
    bench.restart()
    sent = await bench.send()
    assert [one.numbers for one in sent] == [[1, 2, 3], [7, 8, 9]]
    bench.acknowledge(*sent)
    lost = [(event["from"], event["to"], event["why"]) for event in bench.store.announced]
    assert lost == [(4, 6, "corrupt"), (10, 10, "corrupt")]
    assert bench.store.accounts[AIR].unsettled() == 0


async def test_readings_wait_for_an_unset_clock_and_events_do_not(bench: Bench) -> None:
    bench.store.times.on_clock_unset(0)
    bench.measure(AIR, 3, clock_quality=0)
    bench.measure(DOOR, clock_quality=0)
    assert [(sent.stream, sent.late) for sent in await bench.send()] == [(DOOR, False)]
    due_s = await bench.delivery.send()
    assert due_s == bench.clock.now_s + 600 + bench.settings.max_delay_s
    bench.clock.now_s += 600 + bench.settings.max_delay_s
    (sent,) = await bench.send()
    assert (sent.numbers, sent.late, sent.message["cq"]) == ([1, 2, 3], True, 0)


async def test_readings_leave_with_their_true_time_once_the_clock_is_set(bench: Bench) -> None:
    bench.store.times.on_clock_unset(0)
    bench.measure(AIR, 2, clock_quality=0)
    assert await bench.send() == []
    measured_ms = bench.clock.mono_ms()
    bench.clock.now_s += 5
    bench.store.times.on_clock_set(bench.clock.mono_ms(), 1_795_000_000_000, 2, bench.store.accounts)
    bench.measure(AIR)
    live, late = await bench.send()
    assert (live.numbers, live.late, live.message["cq"]) == ([3], False, 1)
    assert (late.numbers, late.late, late.message["cq"]) == ([1, 2], True, 2)
    assert [row["t"] for row in late.message["r"]] == [1_795_000_000_000 + measured_ms] * 2


async def test_readings_of_other_boots_do_not_wait_and_what_follows_does(bench: Bench) -> None:
    bench.measure(AIR, 2, clock_quality=0, boot_id="b1")
    bench.measure(AIR, 2, clock_quality=0, boot_id="b2")
    bench.store.times.on_clock_unset(0)
    bench.measure(AIR, 2, clock_quality=0)
    bench.restart()
    assert [(sent.numbers, sent.message["bid"]) for sent in await bench.send()] == [([1, 2], "b1"), ([3, 4], "b2")]


async def test_what_was_sent_can_be_asked_for_while_others_wait(bench: Bench) -> None:
    bench.measure(AIR, 2, clock_quality=0, boot_id="b1")
    bench.restart()
    bench.acknowledge(*await bench.send())
    bench.store.times.on_clock_unset(0)
    bench.measure(AIR, 2, clock_quality=0)
    assert await bench.send() == []
    bench.lane.resend[AIR].add(1, 5)
    assert [sent.numbers for sent in await bench.send()] == [[1, 2]], "the others come in their time"
    assert list(bench.lane.resend[AIR]) == [(1, 3)]


async def test_a_bad_row_with_nothing_behind_it_in_its_stream_is_given_up_and_counted(bench: Bench) -> None:
    bench.measure(AIR)
    sessions = 0
    while not bench.store.announced:
        sent = await bench.send()
        if any(one.stream == AIR for one in sent):
            bench.delivery.on_connection_lost()
            bench.connect()
            sessions += 1
        bench.clock.now_s += 10.0
        assert bench.clock.now_s < 2000.0
    (event,) = bench.store.announced
    assert (event["ev"], event["why"], event["from"], event["to"]) == ("rows_lost", "rejected", 1, 1)
    assert bench.store.accounts[AIR].unsettled() == 0
    assert 9 <= sessions <= 15


async def test_a_row_that_was_set_aside_is_not_decided_about_while_others_of_its_stream_wait(bench: Bench) -> None:
    bench.measure(AIR)
    for _ in range(5):
        if any(one.stream == AIR for one in await bench.send()):
            bench.delivery.on_connection_lost()
            bench.connect()
    bench.measure(AIR, due_s=5.0)
    bench.clock.now_s += 5.0
    (sent,) = await bench.send()
    assert sent.numbers == [2]
    bench.acknowledge(sent)
    await bench.send()
    while not bench.store.announced:
        assert all(one.numbers == [1] for one in await bench.send())
        bench.delivery.on_connection_lost()
        bench.connect()
    assert bench.store.accounts[AIR].unsettled() == 0


async def test_what_was_asked_for_again_is_sent_once(bench: Bench) -> None:
    bench.measure(AIR, 3)
    bench.acknowledge(*await bench.send())
    bench.lane.resend[AIR].add(1, 3)
    (sent,) = await bench.send()
    assert (sent.numbers, sent.late) == ([1, 2], True)
    bench.acknowledge(sent)
    assert await bench.send() == []
    assert list(bench.lane.resend[AIR]) == []


async def test_it_says_when_there_are_tokens_for_a_whole_message(bench: Bench) -> None:
    bench.settings = Publish(backlog_rows_per_s=100, max_rows=50)
    bench.store.put(AIR, 1000)
    bench.restart()
    sent = await bench.send()
    assert [len(message.numbers) for message in sent] == [50, 50]
    bench.acknowledge(*sent)
    assert await bench.delivery.send() == bench.clock.now_s + 0.5
    bench.clock.now_s += 0.5
    assert [len(message.numbers) for message in await bench.send()] == [50]


async def test_tokens_are_shared_by_the_streams(bench: Bench) -> None:
    bench.settings = Publish(backlog_rows_per_s=100, max_rows=60)
    bench.store.put(AIR, 60)
    bench.store.put("telemetry/b", 60)
    bench.restart()
    assert [message.stream for message in await bench.send()] == [AIR]
    bench.clock.now_s += 0.2
    assert [message.stream for message in await bench.send()] == ["telemetry/b"]


async def test_what_is_left_of_a_backlog_is_not_kept_for_a_whole_message(bench: Bench) -> None:
    bench.settings = Publish(backlog_rows_per_s=5000)
    bench.store.put(AIR, 3)
    bench.restart()
    assert [message.numbers for message in await bench.send()] == [[1, 2, 3]]


async def test_what_was_asked_for_and_is_not_there_any_more_is_not_looked_for_again(bench: Bench) -> None:
    bench.measure(AIR, 3)
    bench.acknowledge(*await bench.send())
    bench.store.forget(AIR, range(1, 3))
    bench.lane.resend[AIR].add(1, 4)
    (sent,) = await bench.send()
    assert sent.numbers == [3]
    bench.acknowledge(sent)
    assert list(bench.lane.resend[AIR]) == []
    assert bench.store.announced == [], "they were delivered before"
