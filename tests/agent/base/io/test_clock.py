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
