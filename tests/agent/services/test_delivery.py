"""Live rows first, the backlog behind; settled by what was acknowledged, and by nothing else."""

from dataclasses import replace

import pytest

from agent.core import wire
from agent.core.delivery_timings import DeliveryTimings
from agent.core.link import Limits
from agent.core.settings import Publish
from agent.services.delivery import Delivery
from agent.services.delivery_context import DeliveryContext
from agent.services.live_lane import LiveLane
from tests.agent.services.fakes import MH, PRESENCE, FakeClock, FakeLink, FakeStore, Sent

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
        self.lane.fresh(stream, numbers.start, mono_ms, self.clock.now_s + due_s)

    async def send(self) -> list[Sent]:
        """Everything that is due now."""
        while await self.delivery.send() <= self.clock.now_s:
            pass
        return self.link.take()

    def acknowledge(self, *sent: Sent, failure: int = 0) -> None:
        for one in sent:
            self.delivery.acknowledged(one.mid, failure)


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


async def test_after_a_restart_everything_is_late(bench: Bench) -> None:
    bench.measure(AIR, 3)
    bench.restart()
    (sent,) = await bench.send()
    assert (sent.numbers, sent.late) == ([1, 2, 3], True)


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
    bench.store.put(AIR, 700, mh="01d00000")
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


async def test_batches_keep_the_broker_s_packet_size(bench: Bench) -> None:
    bench.connect(Limits(packet_bytes=1024))
    bench.measure(AIR, 100, size=50)
    sent = await bench.send()
    assert len(sent) > 5
    assert max(len(one.payload) for one in sent) <= 1024 - 256
    assert [number for one in sent for number in one.numbers] == list(range(1, 101))


async def test_a_batch_is_at_most_64_kib(bench: Bench) -> None:
    bench.measure(AIR, 250, size=1000)
    sent = await bench.send()
    while more := [one for one in sent if bench.acknowledge(one)] or await bench.send():
        sent += more
    assert max(len(one.payload) for one in sent) <= 65_536
    assert [number for one in sent for number in one.numbers] == list(range(1, 251))


async def test_a_row_that_no_message_can_carry_is_given_up_and_the_next_one_passes(bench: Bench) -> None:
    bench.connect(Limits(packet_bytes=1024))
    bench.measure(AIR, 1, size=2000)
    bench.measure(AIR, 1, size=10)
    sent = await bench.send()
    assert [one.numbers for one in sent] == [[2]]
    (event,) = bench.store.announced
    assert (event["ev"], event["why"], event["from"], event["to"]) == ("rows_lost", "rejected", 1, 1)
    assert bench.store.accounts[AIR].lo("aaaaaaaa") == 2


async def test_a_message_has_one_context(bench: Bench) -> None:
    bench.measure(AIR, 2, mh="01d00000")
    bench.measure(AIR, 2)
    sent = await bench.send()
    assert [one.stream for one in sent] == ["meta/01d00000", AIR, AIR]
    assert [(one.message["mh"], one.numbers) for one in sent[1:]] == [("01d00000", [1, 2]), (MH, [3, 4])]
    assert sent[0].message["sensors"] == {"old": {}}
    assert not sent[0].retain


async def test_a_description_is_sent_once_a_connection(bench: Bench) -> None:
    for _ in range(2):
        bench.store.put(AIR, 2, mh="01d00000")
        bench.restart()
        sent = await bench.send()
        assert sent[0].stream == "meta/01d00000"
        bench.acknowledge(*sent)
        bench.measure(AIR, 1, mh="01d00000")
        assert [one.stream for one in await bench.send()] == [AIR]


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
    assert "the broker takes telemetry/air-1 again" in caplog.text


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
    bench.delivery.acknowledged(4711, 0)
    assert bench.store.accounts[AIR].unsettled() == 1
    bench.acknowledge(sent, sent)
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


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_encoding_and_compression_are_as_configured(bench: Bench, encoding: str) -> None:
    bench.settings = replace(Publish(), encoding=encoding, compress="zlib")
    bench.connect()
    bench.measure(AIR, 50)
    (sent,) = await bench.send()
    assert sent.payload[0] == 0x78
    assert (sent.encoding, sent.content_type) == ("zlib", wire.CONTENT_TYPES[encoding])
    assert len(sent.numbers) == 50


async def test_flush_sends_what_is_live_at_once_and_begins_nothing_late(bench: Bench) -> None:
    bench.store.put(AIR, 10)
    bench.restart()
    bench.measure(AIR, 2, due_s=60.0)
    await bench.delivery.send(flush=True)
    sent = bench.link.take()
    assert [one.numbers for one in sent] == [[11, 12]]
    assert bench.delivery.live_left()
    bench.acknowledge(*sent)
    assert not bench.delivery.live_left()


def test_the_lane_finds_the_last_half_minute_without_reading_the_store() -> None:
    lane = LiveLane({}, DeliveryTimings())
    for second in range(3600):
        lane.fresh(AIR, 1 + 10 * second, 1000 * second, 0.0)
    lane.skip_old(AIR, 36_001, 3_599_000)
    assert 36_001 - 320 <= lane.next[AIR] <= 36_001 - 300
    lane.skip_old(AIR, 36_001, 10_000_000)
    assert lane.next[AIR] == 36_001
    assert max(map(len, lane._recent.values())) < 40


async def test_readings_wait_for_an_unset_clock_and_events_do_not(bench: Bench) -> None:
    bench.store.times.unset(0)
    bench.measure(AIR, 3, cq=0)
    bench.measure(DOOR, cq=0)
    assert [(sent.stream, sent.late) for sent in await bench.send()] == [(DOOR, False)]
    due_s = await bench.delivery.send()
    assert due_s == bench.clock.now_s + 600 + bench.settings.max_delay_s
    bench.clock.now_s += 600 + bench.settings.max_delay_s
    (sent,) = await bench.send()
    assert (sent.numbers, sent.late, sent.message["cq"]) == ([1, 2, 3], True, 0)


async def test_readings_leave_with_their_true_time_once_the_clock_is_set(bench: Bench) -> None:
    bench.store.times.unset(0)
    bench.measure(AIR, 2, cq=0)
    assert await bench.send() == []
    measured_ms = bench.clock.mono_ms()
    bench.clock.now_s += 5
    bench.store.times.set(bench.clock.mono_ms(), 1_795_000_000_000, 2, bench.store.accounts)
    bench.measure(AIR)
    live, late = await bench.send()
    assert (live.numbers, live.late, live.message["cq"]) == ([3], False, 1)
    assert (late.numbers, late.late, late.message["cq"]) == ([1, 2], True, 2)
    assert [row["t"] for row in late.message["r"]] == [1_795_000_000_000 + measured_ms] * 2


async def test_readings_of_other_boots_do_not_wait_and_what_follows_does(bench: Bench) -> None:
    bench.measure(AIR, 2, cq=0, bid="b1")
    bench.measure(AIR, 2, cq=0, bid="b2")
    bench.store.times.unset(0)
    bench.measure(AIR, 2, cq=0)
    bench.restart()
    assert [(sent.numbers, sent.message["bid"]) for sent in await bench.send()] == [([1, 2], "b1"), ([3, 4], "b2")]


async def test_what_was_sent_can_be_asked_for_while_others_wait(bench: Bench) -> None:
    bench.measure(AIR, 2, cq=0, bid="b1")
    bench.restart()
    bench.acknowledge(*await bench.send())
    bench.store.times.unset(0)
    bench.measure(AIR, 2, cq=0)
    assert await bench.send() == []
    bench.lane.again[AIR].add(1, 5)
    assert [sent.numbers for sent in await bench.send()] == [[1, 2]], "the others come in their time"
    assert list(bench.lane.again[AIR]) == [(1, 3)]


async def test_a_bad_row_with_nothing_behind_it_in_its_stream_is_given_up_and_counted(bench: Bench) -> None:
    bench.measure(AIR)
    sessions = 0
    while not bench.store.announced:
        sent = await bench.send()
        if any(one.stream == AIR for one in sent):
            bench.delivery.lost()
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
            bench.delivery.lost()
            bench.connect()
    bench.measure(AIR, due_s=5.0)
    bench.clock.now_s += 5.0
    (sent,) = await bench.send()
    assert sent.numbers == [2]
    bench.acknowledge(sent)
    await bench.send()
    while not bench.store.announced:
        assert all(one.numbers == [1] for one in await bench.send())
        bench.delivery.lost()
        bench.connect()
    assert bench.store.accounts[AIR].unsettled() == 0
