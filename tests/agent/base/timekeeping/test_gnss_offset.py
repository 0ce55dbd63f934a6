"""The time by a GNSS receiver: sentences arrive late, never early, and single wrong ones do not count."""

from hypothesis import given
from hypothesis import strategies as st

from agent.base.timekeeping.gnss_offset import FRESH_MS, GnssOffset

TRUE_MS = 1_795_000_000_000


def offered(delays_ms: list[int], wrong_ms: dict[int, int] | None = None) -> GnssOffset:
    """One sentence a second, each with a delay; ``wrong_ms``: by how much some of them are wrong."""
    gnss = GnssOffset()
    for second, delay_ms in enumerate(delays_ms):
        t = TRUE_MS + 1000 * second + (wrong_ms or {}).get(second, 0)
        gnss.offer(t, 1000 * second + delay_ms)
    return gnss


def test_three_sentences_that_agree_are_needed() -> None:
    assert offered([0, 0]).time_ms(5000) is None
    assert not offered([0, 0]).is_fresh(5000)
    assert offered([0, 0, 0]).time_ms(5000) == TRUE_MS + 5000


@given(st.lists(st.integers(0, 1500), min_size=3, max_size=30))
def test_the_time_is_late_by_the_smallest_recent_delay_and_never_early(delays_ms: list[int]) -> None:
    time_ms = offered(delays_ms).time_ms(100_000)
    assert time_ms == TRUE_MS + 100_000 - min(delays_ms[-10:])


def test_a_single_wrong_time_changes_nothing() -> None:
    for wrong_ms in (3_600_000, -3_600_000):
        gnss = offered([100] * 14, {7: wrong_ms})
        assert gnss.time_ms(14_000) == TRUE_MS + 13_900


def test_a_receiver_that_learns_of_a_leap_second_is_followed_after_ten_sentences() -> None:
    corrected = dict.fromkeys(range(5, 15), -2000)
    assert offered([0] * 14, corrected).time_ms(20_000) == TRUE_MS + 20_000
    assert offered([0] * 15, corrected).time_ms(20_000) == TRUE_MS + 18_000


def test_the_time_goes_stale_but_stays_known() -> None:
    gnss = offered([0] * 3)
    assert gnss.is_fresh(2000 + FRESH_MS)
    assert not gnss.is_fresh(2001 + FRESH_MS)
    assert gnss.time_ms(2001 + FRESH_MS) == TRUE_MS + 2001 + FRESH_MS
