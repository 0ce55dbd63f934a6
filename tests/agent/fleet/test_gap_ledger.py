"""The subscriber's account finds every loss, and no loss where there is none.

This is the oracle of the tests of the main job: so it is tested with one lost, one duplicated, one invented and one
reordered reading planted.
"""

import pytest

from agent.fleet.gap_ledger import GRACE_S, Gap, Ledger, StreamId, Tally

OF = StreamId("batua-01", "telemetry/air-1", "aaaaaaaa")


def taken(*messages: tuple[int, int, int]) -> tuple[Ledger, list[list[int]]]:
    """A ledger after messages (lo, first number, one after the last), and what was new in each."""
    ledger = Ledger()
    return ledger, [ledger.add(OF, low_water, start, stop, 0.0) for low_water, start, stop in messages]


def test_all_numbers_arrived() -> None:
    ledger, new = taken((1, 1, 4), (4, 4, 6), (6, 6, 7))
    assert new == [[1, 2, 3], [4, 5], [6]]
    assert ledger.tally() == {OF: Tally(6, 0, 0, 0, 0)}
    assert list(ledger.gaps(100.0)) == []


def test_one_lost_reading_is_missing() -> None:
    ledger, _ = taken((1, 1, 4), (4, 5, 7), (7, 7, 8))
    assert ledger.tally()[OF].late == 1
    assert list(ledger.gaps(GRACE_S - 0.1)) == [], "its lost event may still be on its way"
    assert list(ledger.gaps(GRACE_S)) == [Gap(OF, 4, 5, "late")]
    assert list(ledger.gaps(100.0)) == [], "a hole is told once"


def test_one_duplicated_reading_is_removed() -> None:
    ledger, new = taken((1, 1, 4), (3, 3, 5))
    assert new == [[1, 2, 3], [4]]
    assert ledger.tally()[OF] == Tally(4, 1, 0, 0, 0)


def test_a_reordered_reading_is_neither_lost_nor_new_twice() -> None:
    ledger, new = taken((1, 4, 6), (1, 1, 4), (6, 6, 7))
    assert new == [[4, 5], [1, 2, 3], [6]]
    assert ledger.tally()[OF] == Tally(6, 0, 0, 0, 0)


def test_numbers_above_lo_are_on_their_way_and_not_missing() -> None:
    ledger, _ = taken((1, 10, 12))
    assert ledger.tally()[OF] == Tally(2, 0, 9, 0, 0)
    assert list(ledger.gaps(100.0)) == []


def test_a_hole_that_is_filled_in_time_is_never_told() -> None:
    ledger, _ = taken((1, 1, 2), (3, 3, 4))
    ledger.add(OF, 3, 2, 3, 1.0)
    assert list(ledger.gaps(100.0)) == []


def test_a_lost_event_explains_a_hole() -> None:
    ledger, _ = taken((1, 1, 2), (5, 5, 6))
    ledger.mark_lost(OF, 2, 5)
    assert ledger.tally()[OF] == Tally(2, 0, 0, 3, 0)
    assert list(ledger.gaps(100.0)) == []


def test_what_was_settled_before_the_subscriber_came_is_none_of_its_business() -> None:
    ledger, _ = taken((500, 500, 502))
    assert ledger.tally()[OF] == Tally(2, 0, 0, 0, 0)


def test_a_streams_message_closes_the_account_of_a_quiet_stream() -> None:
    ledger, _ = taken((1, 1, 4))
    ledger.close(OF, 6, 0.0)
    assert ledger.tally()[OF].late == 2
    ledger.close(StreamId("batua-01", "event/door-1", "aaaaaaaa"), 9, 0.0)
    assert set(ledger.tally()) == {OF}, "nothing of that stream was ever received: there is no place to count from"


def test_epochs_and_gateways_have_accounts_of_their_own() -> None:
    ledger = Ledger()
    for of in (OF, OF._replace(epoch="bbbbbbbb"), OF._replace(gateway="pos-1"), OF._replace(stream="event/air-1")):
        assert ledger.add(of, 1, 1, 2, 0.0) == [1]
    assert len(ledger.tally()) == 4


@pytest.mark.parametrize(("planted", "found"), [("lost", 1), ("none", 0)])
def test_the_oracle_notices_one_loss_in_ten_thousand(planted: str, found: int) -> None:
    ledger = Ledger()
    for number in range(1, 10_001):
        if planted == "lost" and number == 5_000:
            continue
        ledger.add(OF, number, number, number + 1, 0.0)
    assert ledger.tally()[OF].late == found


@pytest.mark.parametrize("of", [[OF], [OF._replace(epoch=f"{n:08x}") for n in range(50)]])
def test_every_second_number_costs_bounded_memory_and_what_is_no_longer_tracked_is_reported(of: list[StreamId]) -> None:
    ledger = Ledger(max_ranges=100)
    reported: list[Gap] = []
    for number in range(1, 4001, 2):
        for stream in of:
            assert ledger.add(stream, 1, number, number + 1, 0.0) == [number]
        reported += ledger.dropped()
        assert ledger.size("batua-01") <= 101
    assert {gap.why for gap in reported} == {"untracked"}
    for stream in of:
        numbers = [number for gap in reported if gap.stream_id == stream for number in range(gap.start, gap.stop)]
        assert numbers == sorted(set(numbers))
        assert all(number % 2 == 0 for number in numbers), "only what did not come is reported"
        assert len(numbers) >= 2000 - 100
        tally = ledger.tally()[stream]
        assert (tally.seen, tally.late, tally.twice) == (2000, len(numbers), 0)


def test_a_number_that_is_no_longer_tracked_is_not_new_again() -> None:
    ledger = Ledger(max_ranges=10)
    for number in range(1, 101, 2):
        ledger.add(OF, 1, number, number + 1, 0.0)
    assert ledger.add(OF, 1, 1, 4, 1.0) == []
    assert ledger.add(OF, 1, 99, 102, 1.0) == [100, 101]
    assert ledger.tally()[OF].twice == 4


def test_lost_events_about_every_second_number_cost_bounded_memory() -> None:
    ledger = Ledger(max_ranges=100)
    ledger.add(OF, 1, 1, 2, 0.0)
    for number in range(2, 4001, 2):
        ledger.mark_lost(OF, number, number + 1)
        assert ledger.size("batua-01") <= 101
    tally = ledger.tally()[OF]
    assert (tally.seen, tally.lost) == (1, 2000)


def test_another_gateway_s_account_is_not_cut_short() -> None:
    ledger = Ledger(max_ranges=100)
    other = OF._replace(gateway="pos-1")
    for number in range(1, 2001, 2):
        ledger.add(OF, 1, number, number + 1, 0.0)
        if number < 120:
            ledger.add(other, 1, number, number + 1, 0.0)
    assert {gap.stream_id for gap in ledger.dropped()} == {OF}
    assert ledger.tally()[other].seen == 60


def test_a_rising_lo_that_nobody_asks_about_costs_bounded_memory() -> None:
    ledger = Ledger(max_ranges=100)
    for number in range(1, 5001):
        ledger.add(OF, number, number, number + 1, number / 1000)
    ledger.close(OF, 5003, 6.0)
    assert list(ledger.gaps(6.0 + GRACE_S)) == [Gap(OF, 5001, 5003, "late")]
    assert ledger.size("batua-01") <= 2


def test_a_rising_lo_keeps_its_times_in_a_bounded_list() -> None:
    ledger = Ledger()
    for number in range(1, 100_001):
        ledger.add(OF, number, number, number + 1, 0.0)
    assert ledger.size("batua-01") <= 1001


def test_numbers_above_the_low_water_mark_are_pending() -> None:
    ledger = Ledger()
    ledger.add(OF, 1, 1, 3, 0.0)
    ledger.add(OF, 3, 6, 8, 0.0)
    assert ledger.tally()[OF] == Tally(4, 0, 3, 0, 0)
    ledger.close(OF, 3, 0.0, 11)
    assert ledger.tally()[OF] == Tally(4, 0, 6, 0, 0)
    ledger.close(OF, 5, 0.0, 11)
    assert ledger.tally()[OF] == Tally(4, 0, 4, 0, 2)
    ledger.mark_lost(OF, 3, 9)
    assert ledger.tally()[OF] == Tally(4, 0, 2, 4, 0)
