"""Which rows are still to be sent live."""

from agent.delivery.live_lane import LiveLane
from agent.delivery.timings import DeliveryTimings
from agent.store.stream_account import StreamAccount
from tests.agent.delivery.delivery_bench import AIR


def test_the_lane_finds_the_last_half_minute_without_reading_the_store() -> None:
    lane = LiveLane({}, DeliveryTimings())
    for second in range(3600):
        lane.add_committed(AIR, 1 + 10 * second, 1000 * second, 0.0)
    lane.skip_old(AIR, 36_001, 3_599_000)
    assert 36_001 - 320 <= lane.next[AIR] <= 36_001 - 300
    lane.skip_old(AIR, 36_001, 10_000_000)
    assert lane.next[AIR] == 36_001
    assert max(map(len, lane._recent.values())) < 40


def test_a_row_of_the_last_half_minute_is_live_though_its_second_began_before() -> None:
    lane = LiveLane({}, DeliveryTimings())
    lane.add_committed(AIR, 1, 10_000, 0.0)
    lane.add_committed(AIR, 2, 10_900, 0.0)
    lane.skip_old(AIR, 3, 40_800)
    assert lane.next[AIR] == 1, "number 2 has no mark of its own"
    lane.skip_old(AIR, 3, 41_000)
    assert lane.next[AIR] == 1
    lane.skip_old(AIR, 3, 41_001)
    assert lane.next[AIR] == 3


def test_the_most_urgent_row_decides_when_a_stream_is_due() -> None:
    lane = LiveLane({}, DeliveryTimings())
    for due_s in (9.0, 5.0, 7.0):
        lane.add_committed(AIR, 1, 0, due_s)
    assert lane.due_s[AIR] == 5.0


def test_what_was_there_before_is_not_live() -> None:
    lane = LiveLane({AIR: StreamAccount([(1, "aaaaaaaa")], 9)}, DeliveryTimings())
    assert lane.next[AIR] == 9
    lane.add_committed(AIR, 4, 0, 0.0)
    assert lane.next[AIR] == 9
