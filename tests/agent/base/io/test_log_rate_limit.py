"""How many lines are written."""

from agent.base.io.log_rate_limit import LogRateLimit


def test_ten_a_minute_of_each_kind_and_then_how_many_were_left_out() -> None:
    budget = LogRateLimit(10)
    assert [budget.allows("a", at / 10) for at in range(200)] == [(True, 0)] * 10 + [(False, 0)] * 190
    assert budget.allows("b", 20.0) == (True, 0)
    assert budget.allows("a", 60.0) == (True, 190)
    assert budget.allows("a", 61.0) == (True, 0)
    assert budget.allows("b", 90.0) == (True, 0)


def test_kinds_that_are_quiet_are_forgotten() -> None:
    budget = LogRateLimit(10)
    for number in range(2000):
        budget.allows(number, number)
        budget.allows("a", number)
    assert len(budget._windows) < 700
