"""Time, and how far it is to be trusted."""

import time

from agent.edges import clock


def test_now_is_the_system_s_time() -> None:
    stamp = clock.Clock().now()
    assert abs(stamp.t - time.time() * 1000) < 1000
    assert stamp.cq in (1, 2)
    assert abs(stamp.mono_ms - clock.mono_ms()) < 1000


def test_a_clock_behind_what_is_known_was_never_set() -> None:
    one = clock.Clock()
    one.raise_floor(int(time.time() * 1000) + 60_000)
    assert one.now().cq == 0
    one.raise_floor(0)
    assert one.now().cq == 0, "a floor is never lowered"


def test_the_boot_has_an_id_of_eight_hex_digits() -> None:
    assert len(clock.boot_id()) == 8
    int(clock.boot_id(), 16)
