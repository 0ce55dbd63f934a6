"""The subscriber's account finds every loss, and no loss where there is none.

This is the oracle of the tests of the main job: so it is tested with one lost, one duplicated, one invented and one
reordered reading planted.
"""

import pytest

from agent.core.ledger import GRACE_S, Gap, Ledger, StreamId, Tally

OF = StreamId("batua-01", "telemetry/air-1", "aaaaaaaa")


def taken(*messages: tuple[int, int, int]) -> tuple[Ledger, list[list[int]]]:
    """A ledger after messages (lo, first number, one after the last), and what was new in each."""
    ledger = Ledger()
    return ledger, [ledger.take(OF, lo, start, stop, 0.0) for lo, start, stop in messages]


def test_all_numbers_arrived() -> None:
    ledger, new = taken((1, 1, 4), (4, 4, 6), (6, 6, 7))
    assert new == [[1, 2, 3], [4, 5], [6]]
    assert ledger.tally() == {OF: Tally(6, 6, 0, 0, 0)}
    assert list(ledger.gaps(100.0)) == []


def test_one_lost_reading_is_missing() -> None:
    ledger, _ = taken((1, 1, 4), (4, 5, 7), (7, 7, 8))
    assert ledger.tally()[OF].missing == 1
    assert list(ledger.gaps(GRACE_S - 0.1)) == [], "its lost event may still be on its way"
    assert list(ledger.gaps(GRACE_S)) == [Gap(OF, 4, 5, "late")]
    assert list(ledger.gaps(100.0)) == [], "a hole is told once"


def test_one_duplicated_reading_is_removed() -> None:
    ledger, new = taken((1, 1, 4), (3, 3, 5))
    assert new == [[1, 2, 3], [4]]
    assert ledger.tally()[OF] == Tally(4, 4, 0, 0, 1)


def test_a_reordered_reading_is_neither_lost_nor_new_twice() -> None:
    ledger, new = taken((1, 4, 6), (1, 1, 4), (6, 6, 7))
    assert new == [[4, 5], [1, 2, 3], [6]]
    assert ledger.tally()[OF] == Tally(6, 6, 0, 0, 0)


def test_numbers_above_lo_are_on_their_way_and_not_missing() -> None:
    ledger, _ = taken((1, 10, 12))
    assert ledger.tally()[OF] == Tally(2, 2, 0, 0, 0)
    assert list(ledger.gaps(100.0)) == []


def test_a_hole_that_is_filled_in_time_is_never_told() -> None:
    ledger, _ = taken((1, 1, 2), (3, 3, 4))
    ledger.take(OF, 3, 2, 3, 1.0)
    assert list(ledger.gaps(100.0)) == []


def test_a_lost_event_explains_a_hole() -> None:
    ledger, _ = taken((1, 1, 2), (5, 5, 6))
    ledger.lost(OF, 2, 5)
    assert ledger.tally()[OF] == Tally(5, 2, 3, 0, 0)
    assert list(ledger.gaps(100.0)) == []


def test_what_was_settled_before_the_subscriber_came_is_none_of_its_business() -> None:
    ledger, _ = taken((500, 500, 502))
    assert ledger.tally()[OF] == Tally(2, 2, 0, 0, 0)


def test_a_streams_message_closes_the_account_of_a_quiet_stream() -> None:
    ledger, _ = taken((1, 1, 4))
    ledger.closed(OF, 6, 0.0)
    assert ledger.tally()[OF].missing == 2
    ledger.closed(StreamId("batua-01", "event/door-1", "aaaaaaaa"), 9, 0.0)
    assert set(ledger.tally()) == {OF}, "nothing of that stream was ever received: there is no place to count from"


def test_epochs_and_gateways_have_accounts_of_their_own() -> None:
    ledger = Ledger()
    for of in (OF, OF._replace(ep="bbbbbbbb"), OF._replace(gateway="pos-1"), OF._replace(stream="event/air-1")):
        assert ledger.take(of, 1, 1, 2, 0.0) == [1]
    assert len(ledger.tally()) == 4


@pytest.mark.parametrize(("planted", "found"), [("lost", 1), ("none", 0)])
def test_the_oracle_notices_one_loss_in_ten_thousand(planted: str, found: int) -> None:
    ledger = Ledger()
    for number in range(1, 10_001):
        if planted == "lost" and number == 5_000:
            continue
        ledger.take(OF, number, number, number + 1, 0.0)
    assert ledger.tally()[OF].missing == found
