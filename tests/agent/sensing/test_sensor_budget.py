"""A sensor may store so much; what is more is dropped, counted and told of."""

from agent.sensing.sensor_budget import SensorBudget


def test_a_burst_is_taken_and_then_the_rate_and_each_dropped_row_is_counted() -> None:
    budget = SensorBudget(100.0, 0.0)
    taken = [budget.allows("telemetry/a", 0.0) for _ in range(60_000 + 10)]
    assert (sum(taken), taken[-1]) == (60_000, False)
    assert budget.pause_s() > 0
    assert sum(budget.allows("telemetry/a", 1.0) for _ in range(200)) == 100
    assert budget.report(59.0) == {}
    assert budget.report(60.0) == {"telemetry/a": 110}
    assert budget.report(1000.0, final=True) == {}
    assert budget.allows("telemetry/a", 2.0)
    assert budget.pause_s() == 0


def test_what_is_left_is_told_at_the_end() -> None:
    budget = SensorBudget(0.01, 0.0)
    count = 9
    taken = sum(budget.allows("event/a", 0.0) for _ in range(count))
    assert budget.report(0.0, final=True) == {"event/a": count - taken}


def test_events_are_urgent_only_so_often() -> None:
    budget = SensorBudget(100.0, 0.0)
    assert sum(budget.allows_urgent(0.0) for _ in range(1000)) == 50
    assert sum(budget.allows_urgent(1.0) for _ in range(1000)) == 5


def test_garbage_without_end_is_read_slowly_until_something_is_found_in_it() -> None:
    budget = SensorBudget(100.0, 0.0)
    for _ in range(17):
        budget.record_data(4096, 0)
    assert budget.pause_s() > 0
    budget.record_data(4096, 1)
    assert budget.pause_s() == 0
