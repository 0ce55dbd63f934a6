"""Live rows first; settled by what was acknowledged, and by nothing else."""

import pytest

from agent.delivery.wire import LIVE_MS
from tests.agent.delivery.delivery_bench import AIR, DOOR, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_fresh_rows_leave_as_one_live_message(bench: Bench) -> None:
    bench.measure(AIR, 3)
    (sent,) = await bench.send()
    assert (sent.topic, sent.retain) == ("makassar/v1/health/batua/batua-01/telemetry/air-1", False)
    assert (sent.numbers, sent.late, sent.message["lo"]) == ([1, 2, 3], False, 1)
    assert sent.content_type == "application/vnd.msgpack"
    bench.acknowledge(sent)
    assert bench.store.accounts[AIR].unsettled() == 0
    assert await bench.send() == []


async def test_rows_wait_for_their_batch(bench: Bench) -> None:
    bench.measure(AIR, 3, due_s=5.0)
    assert await bench.delivery.send() == bench.clock.now_s + 5.0
    assert bench.link.take() == []
    bench.clock.now_s += 5.0
    assert [sent.numbers for sent in await bench.send()] == [[1, 2, 3]]


async def test_a_full_batch_does_not_wait(bench: Bench) -> None:
    bench.measure(AIR, 600, due_s=5.0)
    assert [len(sent.numbers) for sent in await bench.send()] == [250, 250], "the rest waits for its time"


async def test_events_leave_before_telemetry(bench: Bench) -> None:
    bench.measure(AIR)
    bench.measure(DOOR)
    assert [sent.stream for sent in await bench.send()] == [DOOR, AIR]


async def test_lo_counts_what_is_in_flight_as_not_settled(bench: Bench) -> None:
    bench.measure(AIR)
    first = await bench.send()
    bench.measure(AIR)
    (second,) = await bench.send()
    assert second.message["lo"] == 1
    bench.acknowledge(*first)
    bench.measure(AIR)
    (third,) = await bench.send()
    assert third.message["lo"] == 2


async def test_what_was_not_acknowledged_is_sent_again_as_late(bench: Bench) -> None:
    bench.measure(AIR, 2)
    await bench.send()
    bench.connect()
    bench.measure(AIR)
    live, again = await bench.send()
    assert (live.numbers, live.late) == ([3], False)
    assert (again.numbers, again.late) == ([1, 2], True)


async def test_rows_older_than_half_a_minute_are_late_and_younger_ones_live(bench: Bench) -> None:
    bench.measure(AIR, 2, age_s=0.0)
    bench.clock.now_s += 31.0
    bench.measure(AIR, 2)
    sent = await bench.send()
    assert [(one.numbers, one.late) for one in sent] == [([3, 4], False), ([1, 2], True)]


async def test_live_numbers_only_rise_whatever_happens_in_between(bench: Bench) -> None:
    live: list[int] = []
    for step in range(40):
        bench.measure(AIR, 1 + step % 3)
        if step % 5 == 0:
            bench.clock.now_s += 20.0
        if step % 7 == 0:
            bench.connect()
        for sent in await bench.send():
            live += [] if sent.late else sent.numbers
            if step % 2:
                bench.acknowledge(sent)
    assert live == sorted(set(live))
    bench.connect()
    for _ in range(50):
        bench.acknowledge(*(await bench.send()))
    assert bench.store.accounts[AIR].unsettled() == 0


async def test_a_denied_topic_keeps_its_rows_and_the_others_flow(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.measure(AIR, 2)
    bench.measure(DOOR, 1)
    door, air = await bench.send()
    bench.acknowledge(air, failure=0x87)
    bench.acknowledge(door)
    assert bench.store.accounts[AIR].unsettled() == 2
    bench.measure(AIR, 1)
    bench.measure(DOOR, 1)
    assert [one.stream for one in await bench.send()] == [DOOR]
    bench.clock.now_s += 31.0
    bench.acknowledge(*bench.link.sent)
    sent = await bench.send()
    assert sorted(number for one in sent for number in one.numbers) == [1, 2, 3]
    assert all(one.late for one in sent)
    assert caplog.text.count("the broker refuses telemetry/air-1") == 1
    bench.acknowledge(*sent)
    assert "the broker accepts telemetry/air-1 again" in caplog.text


async def test_a_payload_that_the_broker_cannot_use_is_halved_until_one_row_is_given_up(bench: Bench) -> None:
    bench.measure(AIR, 8)
    delivered: list[int] = []
    for _ in range(60):
        for one in await bench.send():
            poisoned = 5 in one.numbers
            bench.acknowledge(one, failure=0x99 if poisoned else 0)
            delivered += [] if poisoned else one.numbers
        bench.clock.now_s += 1.0
    assert sorted(delivered) == [1, 2, 3, 4, 6, 7, 8]
    (event,) = bench.store.announced
    assert (event["why"], event["from"], event["to"]) == ("rejected", 5, 5)
    assert bench.store.accounts[AIR].unsettled() == 0


async def test_a_second_or_invented_acknowledgement_settles_nothing(bench: Bench) -> None:
    bench.measure(AIR, 1)
    (sent,) = await bench.send()
    bench.delivery.on_ack(4711, 0)
    assert bench.store.accounts[AIR].unsettled() == 1
    bench.acknowledge(sent, sent)
    assert bench.store.accounts[AIR].unsettled() == 0


async def test_flush_sends_what_is_live_at_once_and_begins_nothing_late(bench: Bench) -> None:
    bench.store.put(AIR, 10)
    bench.restart()
    bench.measure(AIR, 2, due_s=60.0)
    await bench.delivery.send(flush=True)
    sent = bench.link.take()
    assert [one.numbers for one in sent] == [[11, 12]]
    assert bench.delivery.has_live()
    bench.acknowledge(*sent)
    assert not bench.delivery.has_live()


async def test_a_denied_stream_is_tried_again_twice_as_late_each_time(bench: Bench) -> None:
    bench.measure(AIR)
    (sent,) = await bench.send()
    bench.acknowledge(sent, failure=0x87)
    for pause_s in (30.0, 60.0, 120.0):
        assert await bench.delivery.send() == bench.clock.now_s + pause_s
        bench.clock.now_s += pause_s - 0.1
        assert await bench.send() == []
        bench.clock.now_s += 0.1
        (sent,) = await bench.send()
        bench.acknowledge(sent, failure=0x87)


async def test_several_refusals_of_one_window_are_one_step(bench: Bench) -> None:
    bench.measure(AIR, 500)
    sent = await bench.send()
    assert len(sent) == 2
    bench.acknowledge(*sent, failure=0x87)
    assert await bench.delivery.send() == bench.clock.now_s + 30.0


async def test_nothing_is_due_for_a_minute_where_nothing_waits(bench: Bench) -> None:
    assert await bench.delivery.send() == bench.clock.now_s + 60.0


async def test_an_acknowledgement_tells_whose_rows_were_taken(bench: Bench) -> None:
    bench.measure(AIR)
    bench.measure(DOOR)
    door, air = await bench.send()
    assert bench.delivery.on_ack(door.mid, 0) == DOOR
    assert bench.delivery.on_ack(air.mid, 0x87) == ""
    assert bench.delivery.on_ack(air.mid, 0) == ""
    mid = bench.delivery.publisher.announce("x", b"{}", retain=False)
    assert bench.delivery.on_ack(mid, 0) == ""


async def test_a_message_that_was_passed_over_is_sent_again(bench: Bench) -> None:
    bench.measure(AIR)
    await bench.send()
    bench.clock.now_s += 1.0
    bench.measure(DOOR)
    bench.acknowledge(*await bench.send())
    bench.delivery.skip_unacknowledged(bench.clock.now_s - 5.0)
    assert await bench.send() == [], "it may still come"
    bench.clock.now_s += 20.0
    bench.delivery.skip_unacknowledged(bench.clock.now_s - 5.0)
    assert [(sent.numbers, sent.late) for sent in await bench.send()] == [([1], True)]


async def test_live_rows_of_a_denied_stream_are_not_waited_for_at_the_end(bench: Bench) -> None:
    bench.measure(AIR)
    (sent,) = await bench.send()
    bench.acknowledge(sent, failure=0x87)
    bench.measure(AIR)
    assert not bench.delivery.has_live()
    bench.measure(DOOR)
    assert bench.delivery.has_live()


async def test_a_batch_that_is_just_full_does_not_wait(bench: Bench) -> None:
    bench.measure(AIR, 250, due_s=5.0)
    assert [len(sent.numbers) for sent in await bench.send()] == [250]
    bench.measure(AIR, 249, due_s=5.0)
    assert await bench.send() == []


async def test_rows_that_are_too_old_to_be_live_hide_no_fresh_one_behind_them(bench: Bench) -> None:
    old = bench.store.put(AIR, bench.settings.max_rows + 50, age_s=2 * LIVE_MS / 1000)
    fresh = bench.store.put(AIR, 5)
    bench.lane.add_committed(AIR, old.start, bench.clock.mono_ms(), bench.clock.now_s)
    live = [one for one in await bench.send() if not one.late]
    assert [number for one in live for number in one.numbers] == list(fresh)
