"""What leaves a full store: delivered rows first, then telemetry, events last; always the oldest."""

from agent.store.retention import Eviction, next_eviction
from agent.store.stream_account import StreamAccount
from tests.agent.store.store_fakes import DOOR, OWN, A, B


def account(
    following: int, settled: tuple[int, int] | None = None, gone: tuple[int, int] | None = None
) -> StreamAccount:
    return StreamAccount([(1, "aaaaaaaa")], following, [settled] if settled else [], [gone] if gone else [])


TIMES = {A: 50, B: 40, DOOR: 10, OWN: 5}


def time_of(name: str, number: int) -> int:
    return TIMES[name] + number


def test_delivered_rows_go_before_any_other() -> None:
    accounts = {A: account(9, settled=(3, 6)), B: account(9), DOOR: account(9)}
    assert next_eviction(accounts, time_of, True) == Eviction((A, 3, 6), undelivered=False)


def test_of_delivered_rows_the_oldest_go_first_and_what_is_gone_does_not_go_again() -> None:
    accounts = {A: account(9, settled=(1, 6), gone=(1, 3)), B: account(99, settled=(20, 30))}
    assert next_eviction(accounts, time_of, True) == Eviction((A, 3, 6), undelivered=False)
    accounts = {A: account(9, settled=(1, 6)), B: account(99, settled=(2, 30))}
    assert next_eviction(accounts, time_of, True) == Eviction((B, 2, 30), undelivered=False)


def test_undelivered_telemetry_goes_before_events_and_one_s_own_events_go_last() -> None:
    accounts = {OWN: account(9), DOOR: account(9), A: account(9), B: account(9)}
    order = []
    while (eviction := next_eviction(accounts, time_of, True)) is not None:
        assert eviction.undelivered
        order.append(eviction.rows[0])
        del accounts[eviction.rows[0]]
    assert order == [B, A, DOOR, OWN]


def test_one_event_of_one_s_own_never_goes_alone() -> None:
    assert next_eviction({OWN: account(2)}, time_of, True) is None
    assert next_eviction({OWN: account(3)}, time_of, True) == Eviction((OWN, 1, 3), undelivered=True)


def test_undelivered_rows_go_only_where_that_is_allowed() -> None:
    assert next_eviction({A: account(9)}, time_of, False) is None
    assert next_eviction({}, time_of, True) is None


def test_so_many_rows_at_most_leave_together_and_all_of_one_epoch() -> None:
    assert next_eviction({A: account(1000)}, time_of, True) == Eviction((A, 1, 257), undelivered=True)
    two = StreamAccount([(1, "aaaaaaaa"), (5, "bbbbbbbb")], 9)
    assert next_eviction({A: two}, time_of, True) == Eviction((A, 1, 5), undelivered=True)


def test_rows_that_are_held_do_not_go() -> None:
    held = StreamAccount([(1, "aaaaaaaa")], 9, held=[(1, 4)])
    assert next_eviction({A: held}, time_of, True) == Eviction((A, 4, 9), undelivered=True)
