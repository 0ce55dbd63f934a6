"""How far a clock is to be trusted."""

import pytest

from agent.base.timekeeping.clock_trust import CONSISTENT_MS, ClockTrust, dump_state, parse_state

BUILD_MS = 1_793_000_000_000
NOW_MS = BUILD_MS + 10**10
YEAR_MS = 365 * 86_400_000
HOUR_MS = 3_600_000


class Watched:
    """A clock that is looked at: ``t`` is what it shows, time goes on with ``mono_ms``."""

    def __init__(self, t: int = NOW_MS, floor_ms: int = 0, proven_ms: int = 0) -> None:
        self.trust = ClockTrust(BUILD_MS)
        self.trust.restore(floor_ms, proven_ms)
        self.t, self.mono_ms = t, 5000

    def after(self, ms: int = 1000, step_ms: int = 0, synchronised: bool = False) -> int:
        self.mono_ms += ms
        self.t += ms + step_ms
        self.trust.stepped(self.t, self.mono_ms)
        return self.trust.quality(self.t, self.mono_ms, synchronised=synchronised)


def test_a_clock_before_the_build_date_was_never_set_whatever_is_said() -> None:
    assert Watched(0).after() == 0
    assert Watched(0).after(synchronised=True) == 0


def test_a_clock_at_or_after_the_newest_trusted_time_is_plausible() -> None:
    one = Watched(NOW_MS, floor_ms=NOW_MS + 1000)
    assert one.after() == 1
    assert one.trust.floor_ms == one.t


def test_an_unproven_clock_behind_the_newest_trusted_time_is_unset_until_it_has_passed_it() -> None:
    one = Watched(NOW_MS - HOUR_MS, floor_ms=NOW_MS)
    assert one.after() == 0
    assert one.after(HOUR_MS) == 1


def test_evidence_beats_what_was_seen_before() -> None:
    one = Watched(NOW_MS, floor_ms=NOW_MS + YEAR_MS, proven_ms=NOW_MS + YEAR_MS)
    assert one.after() == 0
    assert one.after(synchronised=True) == 2
    assert (one.trust.floor_ms, one.trust.proven_ms) == (one.t, one.t)
    assert one.after() == 1, "what was set right stays right when the time server is not heard any more"
    assert one.trust.proven_ms == one.t - 1000


def test_a_clock_that_is_set_back_is_believed() -> None:
    one = Watched(NOW_MS + YEAR_MS)
    assert one.after() == 1
    assert one.after(step_ms=-YEAR_MS) == 1
    assert one.trust.floor_ms == one.t
    assert one.after(step_ms=-YEAR_MS) == 0, "but not to before the build date"
    assert one.after(step_ms=YEAR_MS) == 1


def test_a_step_forward_that_ends_behind_the_newest_trusted_time_proves_nothing() -> None:
    one = Watched(0, floor_ms=NOW_MS)
    assert one.after() == 0
    assert one.after(step_ms=NOW_MS - HOUR_MS) == 0, "a saved time, restored"


@pytest.mark.parametrize("step_ms", [-1500, 1500])
def test_a_small_step_changes_nothing(step_ms: int) -> None:
    one = Watched(NOW_MS)
    assert one.after() == 1
    assert one.after(step_ms=step_ms) == 1


def test_a_day_without_a_step_is_enough_unless_a_time_server_said_otherwise() -> None:
    one = Watched(NOW_MS, floor_ms=NOW_MS + YEAR_MS)
    assert one.after() == 0
    assert one.after(CONSISTENT_MS // 2, step_ms=HOUR_MS) == 0
    assert one.after(CONSISTENT_MS - 1000) == 0, "the step was half a day ago"
    assert one.after(2000) == 1
    other = Watched(NOW_MS, floor_ms=NOW_MS + YEAR_MS, proven_ms=NOW_MS + YEAR_MS)
    assert [other.after(), other.after(CONSISTENT_MS * 2)] == [0, 0]


def test_what_is_saved_comes_back() -> None:
    assert parse_state(dump_state(NOW_MS, 0)) == (NOW_MS, 0)


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "-1 2", "x 2", "9" * 16 + " 1", "\u0661 1"])
def test_nonsense_is_not_restored(text: str) -> None:
    assert parse_state(text) is None
