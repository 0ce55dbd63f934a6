"""The sliding window keeps the broker's limit, and a place for live rows."""

from agent.delivery.window import CAREFUL_BYTES, MAX_MESSAGES, InFlight, Window


def flight(late: bool = False, size: int = 100, at_s: float = 0.0, start: int = 1) -> InFlight:
    return InFlight("telemetry/a", start, start + 2, size, at_s, late)


def test_the_broker_s_receive_maximum_is_never_passed() -> None:
    window = Window(receive_maximum=2, careful=False)
    for mid in (1, 2):
        assert window.has_room(late=False)
        window.add(mid, flight())
    assert not window.has_room(late=False)
    window.acknowledge(1)
    assert window.has_room(late=False)


def test_late_messages_leave_half_of_the_window_to_live_ones() -> None:
    window = Window(65_535, careful=False)
    sent = 0
    while window.has_room(late=True):
        sent += 1
        window.add(sent, flight(late=True))
    assert sent == MAX_MESSAGES // 2
    assert window.has_room(late=False)


def test_a_window_of_one_still_carries_late_messages() -> None:
    window = Window(1, careful=False)
    assert window.has_room(late=True)
    window.add(1, flight(late=True))
    assert not window.has_room(late=True)
    assert not window.has_room(late=False)


def test_bytes_bound_a_slow_link_and_grow_with_acknowledgements() -> None:
    window = Window(65_535, careful=True)
    window.add(1, flight(size=CAREFUL_BYTES))
    assert not window.has_room(late=False)
    window.acknowledge(1)
    window.add(2, flight(size=CAREFUL_BYTES))
    assert window.has_room(late=False), "an acknowledged window doubles"


def test_a_message_larger_than_the_window_leaves_alone() -> None:
    window = Window(65_535, careful=True)
    assert window.has_room(late=True)
    window.add(1, flight(size=60_000))
    assert not window.has_room(late=False)


def test_an_acknowledgement_of_nothing_frees_nothing() -> None:
    window = Window(65_535, careful=False)
    window.add(7, flight())
    assert window.acknowledge(8) is None
    assert window.acknowledge(7) == flight()
    assert window.acknowledge(7) is None, "a second PUBACK for the same message"
    assert len(window) == 0


def test_what_is_under_way_is_known_by_its_numbers() -> None:
    window = Window(65_535, careful=False)
    window.add(1, flight(start=1, at_s=5.0))
    window.add(2, flight(start=3, at_s=6.0))
    assert list(window.in_flight["telemetry/a"]) == [(1, 5)]
    assert window.oldest_s() == 5.0
    window.acknowledge(1)
    assert list(window.in_flight["telemetry/a"]) == [(3, 5)]
    assert window.oldest_s() == 6.0
    window.acknowledge(2)
    assert window.oldest_s() is None


def test_in_lockstep_one_message_is_under_way_at_a_time() -> None:
    window = Window(65_535, careful=False)
    window.lockstep = True
    assert window.has_room(late=False)
    window.add(1, flight())
    assert not window.has_room(late=False)
    window.lockstep = False
    assert window.has_room(late=False)


def test_the_first_window_is_64_kib_and_late_messages_have_half_of_it() -> None:
    window = Window(65_535, careful=False)
    window.add(1, flight(size=32_767))
    assert window.has_room(late=True)
    window.add(2, flight(size=1))
    assert not window.has_room(late=True)
    window.add(3, flight(size=32_767))
    assert window.has_room(late=False)
    window.add(4, flight(size=1))
    assert not window.has_room(late=False)


def test_what_was_passed_over_left_before_another_one_that_was_acknowledged() -> None:
    window = Window(65_535, careful=False)
    for mid in (1, 2, 3):
        window.add(mid, flight(start=2 * mid, at_s=mid / 10))
    assert window.pop_skipped(before_s=9.0) == [], "nothing was acknowledged"
    window.acknowledge(2)
    assert window.pop_skipped(before_s=0.1) == [], "it did not leave before that"
    assert [one.start for one in window.pop_skipped(before_s=9.0)] == [2]
    assert [one.start for one in window.unacknowledged()] == [6]
    assert list(window.in_flight["telemetry/a"]) == [(6, 8)]
