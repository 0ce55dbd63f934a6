"""When a device is asked next."""

from agent.sensing.sources.source import PollSchedule


def test_questions_lie_on_a_grid_whatever_the_answers_take() -> None:
    schedule = PollSchedule(10.0, 100.0)
    assert [schedule.pause_s(now_s) for now_s in (100.0, 110.5, 123.0)] == [10.0, 9.5, 7.0]


def test_what_was_missed_is_not_made_up_for() -> None:
    schedule = PollSchedule(10.0, 100.0)
    assert [schedule.pause_s(now_s) for now_s in (500.0, 500.0)] == [0.0, 10.0]


def test_a_rest_may_be_longer_than_the_period() -> None:
    schedule = PollSchedule(1.0, 100.0)
    assert schedule.pause_s(100.5, rest_s=5.0) == 5.0
    assert schedule.pause_s(105.5) == 1.0
