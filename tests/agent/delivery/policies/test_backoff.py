"""How long the uplink waits before it connects again."""

from agent.delivery.connection import ConnectionLost, ConnectionRefusedByBroker
from agent.delivery.policies.backoff import PROOF, Backoff


def longest(low: float, high: float) -> float:
    return high


def test_the_wait_grows_with_the_time_since_a_session_worked() -> None:
    backoff = Backoff(0.0, longest)
    assert [backoff.wait_s(ConnectionLost("x"), at_s) for at_s in (0.0, 1.0, 10.0, 50.0, 1e6)] == [
        1.0,
        1.0,
        5.0,
        25.0,
        30.0,
    ]
    backoff.record_success(1e6)
    assert backoff.wait_s(ConnectionLost("x"), 1e6 + 5) == 2.5


def test_the_wait_is_drawn_anew_each_time_from_its_whole_range() -> None:
    waits = [Backoff(0.0).wait_s(ConnectionLost("x"), 100.0) for _ in range(200)]
    assert 0 <= min(waits) < 5
    assert 25 < max(waits) <= 30


def test_a_refused_login_is_not_hurried() -> None:
    assert Backoff(0.0, lambda low, high: low).wait_s(ConnectionRefusedByBroker("x"), 0.0) == 10.0


def test_a_conflict_is_proven_once_kept_away_from_and_forgotten() -> None:
    backoff = Backoff(0.0, lambda low, high: low)
    assert not backoff.record_conflict(1, 0.0)
    assert backoff.wait_s(ConnectionLost("x"), 0.0) == 0.0
    assert backoff.record_conflict(1, 10.0)
    assert not backoff.record_conflict(1, 20.0), "told once"
    assert backoff.wait_s(ConnectionLost("x"), 500.0) == 60.0
    assert backoff.wait_s(ConnectionLost("x"), 621.0) == 0.0
    assert backoff.record_conflict(PROOF, 1000.0)
