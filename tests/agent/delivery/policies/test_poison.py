"""The row that a broker cannot take is found, and nothing else is given up for it."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery.policies.poison import PoisonFinder
from agent.delivery.timings import DeliveryTimings
from agent.delivery.window import InFlight

A, B = "telemetry/a", "telemetry/b"


def flight(start: int, stop: int, stream: str = A, size_bytes: int = 0) -> InFlight:
    return InFlight(stream, start, stop, size_bytes or 40 * (stop - start), 0.0, late=True)


def deliver(
    poison: PoisonFinder, rows: int, kills: Callable[[InFlight], bool], stops_at_pause: bool = False
) -> set[int]:
    """Send ``rows`` rows of one stream as the uplink does, over as many sessions as it needs; give what arrived."""
    arrived: set[int] = set()
    sessions, usual = 0, 250
    while sessions < 400 and (owed := list(_owed(poison, rows, arrived))):
        sessions += 1
        if stops_at_pause and poison.paused_until_s(A) > 0:
            break
        under_way: list[InFlight] = []
        for number in owed:
            if number in arrived or any(one.start <= number < one.stop for one in under_way):
                continue
            stop = number
            while stop - number < poison.max_rows(A, number, usual) and stop in owed and stop not in arrived:
                stop += 1
            one = flight(number, stop)
            under_way.append(one)
            if kills(one):
                poison.on_connection_lost(under_way, 1.0)
                break
            if poison.lockstep or len(under_way) > 3:
                for done in under_way:
                    poison.on_acknowledged(done)
                    arrived |= set(range(done.start, done.stop))
                under_way = []
        else:
            for done in under_way:
                poison.on_acknowledged(done)
                arrived |= set(range(done.start, done.stop))
    assert sessions < 400
    return arrived


def _owed(poison: PoisonFinder, rows: int, arrived: set[int]) -> Iterator[int]:
    gone = {number for _, start, stop in poison.given_up for number in range(start, stop)}
    aside = poison.set_aside(A)
    yield from (number for number in range(1, rows + 1) if number not in arrived | gone and number not in aside)


@given(st.integers(2, 600), st.data())
def test_every_row_arrives_but_the_poisoned_ones(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(1, rows), max_size=3).filter(lambda one: len(one) < rows))
    poison = PoisonFinder(DeliveryTimings())
    arrived = deliver(poison, rows, lambda one: any(one.start <= number < one.stop for number in bad))
    lost = {number for _, start, stop in poison.given_up for number in range(start, stop)}
    assert arrived == set(range(1, rows + 1)) - bad
    assert lost == bad


def test_one_row_is_isolated_within_a_bounded_number_of_sessions() -> None:
    poison, count = PoisonFinder(DeliveryTimings()), 0

    def kills(one: InFlight) -> bool:
        nonlocal count
        count += one.start <= 137 < one.stop
        return one.start <= 137 < one.stop

    assert deliver(poison, 250, kills) == set(range(1, 251)) - {137}
    assert poison.given_up == [(A, 137, 138)]
    assert count <= 16


def test_live_rows_that_arrive_meanwhile_do_not_hide_the_row_that_fails() -> None:
    poison = PoisonFinder(DeliveryTimings())
    live = 100
    for sessions in range(1, 12):  # noqa: B007 - how many it took
        live += 10
        poison.on_acknowledged(flight(live, live + 10))
        poison.on_connection_lost([flight(5, 5 + min(8, poison.max_rows(A, 5, 8)))], 1.0)
        if poison.given_up or 5 in poison.set_aside(A):
            break
    assert sessions < 10
    for number in range(6, 13):
        poison.on_acknowledged(flight(number, number + 1))
    assert poison.given_up == [(A, 5, 6)]


def test_where_only_the_size_is_wrong_all_arrives_and_the_size_is_kept_for_an_hour() -> None:
    poison = PoisonFinder(DeliveryTimings())
    assert deliver(poison, 300, lambda one: one.size_bytes > 2000) == set(range(1, 301))
    assert poison.given_up == []
    assert 256 <= poison.max_bytes(65_536, 10.0) <= 2000
    assert poison.max_bytes(65_536, 3700.0) == 65_536


def test_a_topic_that_takes_nothing_is_paused_longer_each_time_and_nothing_is_given_up() -> None:
    poison = PoisonFinder(DeliveryTimings())
    deliver(poison, 20, lambda one: True, stops_at_pause=True)
    first = poison.paused_until_s(A)
    assert first == 31.0
    assert poison.paused_until_s(B) == 0.0
    poison._paused_until_s.clear()
    deliver(poison, 20, lambda one: True, stops_at_pause=True)
    assert poison.paused_until_s(A) == 61.0
    assert poison.given_up == []


def test_rows_of_a_topic_that_was_paused_arrive_once_it_is_taken_again() -> None:
    poison, denied = PoisonFinder(DeliveryTimings()), True
    deliver(poison, 20, lambda one: denied, stops_at_pause=True)
    poison._paused_until_s.clear()
    denied = False
    assert deliver(poison, 20, lambda one: denied) == set(range(1, 21))
    assert poison.given_up == []


def test_a_link_that_breaks_at_another_row_each_time_is_not_suspected() -> None:
    poison = PoisonFinder(DeliveryTimings())
    for start in range(1, 1000, 100):
        poison.on_connection_lost([flight(start, start + 50), flight(start + 50, start + 100)], 1.0)
    assert not poison.lockstep
    assert poison.max_rows(A, 1, 250) == 250


def test_lockstep_ends_after_a_calm_time() -> None:
    poison = PoisonFinder(DeliveryTimings())
    poison.on_connection_lost([flight(1, 10)], 1.0)
    poison.on_connection_lost([flight(1, 10)], 1.0)
    assert poison.lockstep
    for number in range(16):
        assert poison.lockstep
        poison.on_acknowledged(flight(number, number + 1))
    assert not poison.lockstep


def test_a_refused_row_alone_is_given_up_at_once_and_a_batch_is_halved() -> None:
    poison = PoisonFinder(DeliveryTimings())
    poison.on_refused(flight(1, 9))
    assert poison.max_rows(A, 1, 250) == 4
    poison.on_refused(flight(1, 2))
    assert poison.given_up == [(A, 1, 2)]


@pytest.mark.parametrize("losses", [1, 2, 3, 6])
def test_a_topic_without_rows_is_left_out_after_three_losses(losses: int) -> None:
    poison = PoisonFinder(DeliveryTimings())
    left_out = [poison.on_topic_lost("x/meta", 5.0) for _ in range(losses)]
    assert left_out == [number % 3 == 2 for number in range(losses)]
    assert (poison.paused_until_s("x/meta") > 5.0) == (losses >= 3)


def fail_alone(poison: PoisonFinder, row: InFlight, now_s: float) -> int:
    """Lose sessions at one row until it is set aside or given up; how many."""
    sessions = 0
    while row.start not in poison.set_aside(row.stream) and not poison.given_up:
        assert poison.paused_until_s(row.stream) <= now_s
        poison.on_connection_lost([row], now_s)
        sessions += 1
        assert sessions < 20
    return sessions


def test_a_row_with_nothing_behind_it_is_tried_after_pauses_and_then_given_up() -> None:
    poison, row, now_s = PoisonFinder(DeliveryTimings()), flight(7, 8), 100.0
    pauses = []
    for _ in range(3):
        assert poison.given_up == []
        assert 3 <= fail_alone(poison, row, now_s) <= 5
        poison.on_backlog_empty(A, now_s)
        pauses.append(poison.paused_until_s(A) - now_s)
        assert len(poison.set_aside(A)) == 0, "it is tried again, or given up"
        now_s = max(now_s, poison.paused_until_s(A))
    assert poison.given_up == [(A, 7, 8)]
    assert pauses == [30.0, 60.0, 0.0]


def test_a_row_that_is_taken_after_a_pause_is_not_given_up() -> None:
    poison, row = PoisonFinder(DeliveryTimings()), flight(7, 8)
    fail_alone(poison, row, 0.0)
    poison.on_backlog_empty(A, 0.0)
    poison.on_acknowledged(row)
    poison.on_backlog_empty(A, 100.0)
    assert (poison.given_up, poison.max_rows(A, 8, 250)) == ([], 250)


def test_several_rows_of_a_topic_that_takes_nothing_are_tried_again_and_never_given_up() -> None:
    poison, now_s = PoisonFinder(DeliveryTimings()), 0.0
    poison.on_connection_lost([flight(1, 3)], now_s)
    poison.on_connection_lost([flight(1, 3)], now_s)
    poison.on_connection_lost([flight(1, 3)], now_s)
    for _ in range(6):
        fail_alone(poison, flight(1, 2), now_s)
        fail_alone_or_paused(poison, flight(2, 3), now_s)
        assert poison.paused_until_s(A) > now_s
        assert len(poison.set_aside(A)) == 0, "with nothing else left they are tried again after the pause"
        now_s = poison.paused_until_s(A)
        poison.on_backlog_empty(A, now_s)
    assert poison.given_up == []


def fail_alone_or_paused(poison: PoisonFinder, row: InFlight, now_s: float) -> None:
    while poison.paused_until_s(row.stream) <= now_s:
        poison.on_connection_lost([row], now_s)


def test_nothing_is_decided_while_other_rows_of_the_case_are_left() -> None:
    poison = PoisonFinder(DeliveryTimings())
    for _ in range(3):
        poison.on_connection_lost([flight(1, 3)], 0.0)
    fail_alone(poison, flight(1, 2), 0.0)
    poison.on_backlog_empty(A, 0.0)
    assert poison.paused_until_s(A) == 0.0
    assert list(poison.set_aside(A)) == [(1, 2)]


def test_messages_are_small_for_exactly_an_hour() -> None:
    poison = PoisonFinder(DeliveryTimings(small_s=3600.0))
    poison.on_unanswered(flight(1, 3))
    for number in (1, 2):
        poison.on_acknowledged(InFlight(A, number, number + 1, 300, 50.0, late=True))
    assert [poison.max_bytes(65_536, now_s) for now_s in (3649.0, 3650.0)] == [300, 65_536]
