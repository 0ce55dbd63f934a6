"""Time, and how far it is to be trusted."""

import time

from agent.base.io import clock


class Moved:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.t, self.mono_ms, self.synchronised, self.stalls_ms = clock.BUILD_MS + 10**9, 5000, False, 0
        self.looks = 0
        self.clock = clock.Clock(lambda: self.t, self.mono, self.proof)

    def mono(self) -> int:
        self.mono_ms += self.stalls_ms
        return self.mono_ms

    def proof(self) -> bool:
        self.looks += 1
        return self.synchronised

    def clock_quality(self, step_ms: int = 0) -> int:
        self.t += step_ms
        return self.clock.now().clock_quality


def test_now_is_the_system_s_time() -> None:
    stamp = clock.Clock().now()
    assert abs(stamp.t - time.time() * 1000) < 1000
    assert stamp.clock_quality in (1, 2)
    assert abs(stamp.mono_ms - clock.mono_ms()) < 1000


def test_a_clock_behind_what_is_known_was_never_set() -> None:
    one = Moved()
    one.clock.restore(one.t + 60_000)
    assert one.clock_quality() == 0
    assert one.clock_quality(step_ms=61_000) == 1


def test_a_gnss_receiver_sets_the_time_whatever_the_clock_shows() -> None:
    moved = Moved()
    true_ms = moved.t
    moved.t = 3_600_000  # 1970
    assert moved.clock_quality() == 0
    for second in range(3):
        moved.clock.offer_gnss(true_ms + 1000 * second, moved.mono_ms + 1000 * second)
    assert moved.clock.now() == (true_ms, moved.mono_ms, 3)
    assert moved.clock.floor_ms == moved.clock.proven_ms == true_ms
    moved.mono_ms += 700_000
    assert moved.clock.now() == (true_ms + 700_000, moved.mono_ms, 1), "the receiver has been silent for long"
    moved.synchronised = True
    moved.t, moved.mono_ms = true_ms + 710_000, moved.mono_ms + 10_000
    assert moved.clock.now() == (moved.t, moved.mono_ms, 2), "a time server is better then"
    moved.synchronised = False
    moved.clock.forget_gnss()
    moved.t, moved.mono_ms = 3_600_000, moved.mono_ms + 10_000
    assert moved.clock.now().clock_quality == 0


def test_a_clock_that_is_ahead_does_not_hide_the_time_of_the_receiver() -> None:
    moved = Moved()
    true_ms = moved.t
    moved.t += 40 * 365 * 86_400_000
    assert moved.clock_quality() == 1
    for second in range(3):
        moved.clock.offer_gnss(true_ms + 1000 * second, moved.mono_ms + 1000 * second)
    assert moved.clock.now().t == true_ms
    assert moved.clock.floor_ms == true_ms


def test_a_time_server_is_asked_for_rarely_and_at_each_step() -> None:
    one = Moved()
    assert [one.clock_quality(), one.clock_quality(), one.looks] == [1, 1, 1]
    one.synchronised = True
    assert [one.clock_quality(), one.clock_quality(step_ms=5000), one.looks] == [1, 2, 2]
    one.mono_ms += 10_000
    one.t += 10_000
    assert (one.clock_quality(), one.looks) == (2, 3)
    assert one.clock.floor_ms == one.clock.proven_ms == one.t


def test_a_process_that_stood_still_between_two_looks_sees_no_step() -> None:
    one = Moved()
    one.clock.restore(one.t + 60_000)
    assert one.clock_quality() == 0
    one.stalls_ms = 30_000  # as if the clock were set back
    assert one.clock_quality() == 0
    one.stalls_ms = 0
    one.t += 60_000 - 1000
    assert one.clock_quality() == 0


def test_the_boot_has_an_id_of_eight_hex_digits() -> None:
    assert len(clock.boot_id()) == 8
    int(clock.boot_id(), 16)
