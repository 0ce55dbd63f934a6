"""When a stream that the broker refuses is tried again."""

from agent.delivery.policies.denied_streams import DeniedStreams
from agent.delivery.timings import DeliveryTimings


def test_each_refusal_in_a_row_makes_it_wait_twice_as_long_up_to_a_limit() -> None:
    denied = DeniedStreams(DeliveryTimings(pause_s=30.0, max_pause_s=100.0))
    assert denied.until_s("a") == 0.0
    assert [(denied.record_refusal("a", 5.0), denied.until_s("a")) for _ in range(4)] == [
        (True, 35.0),
        (False, 65.0),
        (False, 105.0),
        (False, 105.0),
    ]
    assert denied.until_s("b") == 0.0


def test_what_is_taken_again_begins_anew() -> None:
    denied = DeniedStreams(DeliveryTimings())
    assert not denied.record_accepted("a")
    denied.record_refusal("a", 0.0)
    assert denied.record_accepted("a")
    assert not denied.record_accepted("a")
    assert denied.record_refusal("a", 100.0)
    assert denied.until_s("a") == 130.0


def test_very_many_refusals_wait_as_long_as_the_limit() -> None:
    assert DeliveryTimings().paused_s(5000) == 600.0
