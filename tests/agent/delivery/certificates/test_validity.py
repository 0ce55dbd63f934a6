"""A certificate is checked before it is tried, and its end is told in time."""

import pytest

from agent.base.errors import RejectedError
from agent.base.timekeeping.trusted_time import TrustedTime
from agent.delivery.certificates.validity import DAY_MS, CertificateFacts, check, days_left, step

NOW_MS = 1_795_500_000_000
SET, UNSET = TrustedTime(NOW_MS, True, NOW_MS - 90 * DAY_MS), TrustedTime(0, False, NOW_MS - 90 * DAY_MS)


def facts(name: str = "pos-1", matches: bool = True, begins: float = -30, ends: float = 800) -> CertificateFacts:
    return CertificateFacts((name,), matches, NOW_MS + round(begins * DAY_MS), NOW_MS + round(ends * DAY_MS))


@pytest.mark.parametrize("moment", [SET, UNSET])
def test_a_right_one_is_taken_also_while_the_clock_is_unset(moment: TrustedTime) -> None:
    check(facts(), "pos-1", moment)
    check(facts(begins=0, ends=0.001), "pos-1", moment)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (facts(matches=False), "certificate_key"),
        (facts(name="pos-2"), "certificate_name"),
        (CertificateFacts((), True, 0, 2 * NOW_MS), "certificate_name"),
        (CertificateFacts(("pos-1", "pos-2"), True, 0, 2 * NOW_MS), "certificate_name"),
        (facts(ends=0), "certificate_time"),
        (facts(begins=1), "certificate_time"),
    ],
)
def test_a_wrong_one_is_refused(wrong: CertificateFacts, code: str) -> None:
    with pytest.raises(RejectedError) as caught:
        check(wrong, "pos-1", SET)
    assert caught.value.code == code


def test_an_unset_clock_refuses_only_what_cannot_be() -> None:
    check(facts(begins=1), "pos-1", UNSET)
    check(facts(ends=-80), "pos-1", UNSET)
    with pytest.raises(RejectedError):
        check(facts(ends=-91), "pos-1", UNSET)


@pytest.mark.parametrize(
    ("left", "reached"),
    [
        (800, None),
        (30.1, None),
        (30, 30),
        (14.1, 30),
        (14, 14),
        (7.5, 14),
        (7, 7),
        (3.01, 7),
        (3, 3),
        (0.1, 3),
        (0, 0),
        (-5, 0),
    ],
)
def test_steps_before_the_end(left: float, reached: int | None) -> None:
    assert step(NOW_MS + round(left * DAY_MS), NOW_MS) == reached


def test_days_are_whole_ones() -> None:
    assert [days_left(NOW_MS + round(one * DAY_MS), NOW_MS) for one in (1.9, 1, 0.5, -0.5)] == [1, 1, 0, -1]
