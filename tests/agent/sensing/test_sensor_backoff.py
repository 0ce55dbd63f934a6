"""Waits of a sensor that fails again and again."""

from agent.sensing.sensor_backoff import backoff_s


def test_the_ceiling_doubles_up_to_the_highest_one() -> None:
    assert [backoff_s((0.25, 4.0), n, lambda low, high: high) for n in (1, 2, 3, 5, 6, 100_000)] == [
        0.25,
        0.5,
        1.0,
        4.0,
        4.0,
        4.0,
    ]


def test_a_wait_is_drawn_from_zero_on() -> None:
    assert backoff_s((0.25, 4.0), 2, lambda low, high: low) == 0.0
