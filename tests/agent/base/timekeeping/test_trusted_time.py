"""Dates of a document against every state of the clock (E07)."""

import pytest

from agent.base.errors import RejectedError
from agent.base.timekeeping.trusted_time import MAX_SPAN_MS, TrustedTime, check_dates, check_expiry, rfc_3339, unix_ms

DAY = 86_400_000
BOUND = 1_795_000_000_000
NOW = BOUND + 100 * DAY

CLOCKS = {
    "set and right": TrustedTime(NOW, True, BOUND),
    "set, and behind the bound": TrustedTime(BOUND - 50 * DAY, True, BOUND),
    "unset, at its beginning": TrustedTime(0, False, BOUND),
    "unset, and by chance in the future": TrustedTime(NOW + 900 * DAY, False, BOUND),
}
EXPIRES = {"before the bound": BOUND - DAY, "after the bound, before now": NOW - DAY, "after now": NOW + DAY}
REFUSED = {
    ("set and right", "before the bound"),
    ("set and right", "after the bound, before now"),
    ("set, and behind the bound", "before the bound"),
    ("unset, at its beginning", "before the bound"),
    ("unset, and by chance in the future", "before the bound"),
}


def _code(issued_ms: int, expires_ms: int, moment: TrustedTime) -> str:
    try:
        check_dates(issued_ms, expires_ms, moment)
    except RejectedError as error:
        return error.code
    return ""


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("expires", EXPIRES)
def test_a_date_is_refused_only_where_it_is_surely_over(clock: str, expires: str) -> None:
    expected = "expired" if (clock, expires) in REFUSED else ""
    assert _code(BOUND - 9 * DAY, EXPIRES[expires], CLOCKS[clock]) == expected


@pytest.mark.parametrize("clock", ["unset, at its beginning", "unset, and by chance in the future"])
def test_what_an_unset_clock_let_pass_is_asked_again_when_it_is_set(clock: str) -> None:
    expires_ms = EXPIRES["after the bound, before now"]
    check_expiry(expires_ms, CLOCKS[clock])
    with pytest.raises(RejectedError) as caught:
        check_expiry(expires_ms, CLOCKS["set and right"])
    assert (caught.value.code, caught.value.path) == ("expired", "expires")


@pytest.mark.parametrize(
    ("issued_ms", "moment", "code"),
    [
        (NOW + DAY, CLOCKS["set and right"], ""),
        (NOW + DAY + 1, CLOCKS["set and right"], "issued"),
        (NOW + DAY + 1, CLOCKS["unset, at its beginning"], ""),
        (BOUND + MAX_SPAN_MS, CLOCKS["unset, at its beginning"], ""),
        (BOUND + MAX_SPAN_MS + 1, CLOCKS["unset, at its beginning"], "issued"),
    ],
)
def test_a_document_from_the_future_is_not_taken(issued_ms: int, moment: TrustedTime, code: str) -> None:
    assert _code(issued_ms, issued_ms + DAY, moment) == code


@pytest.mark.parametrize("expires_ms", [NOW, NOW - 1, NOW + MAX_SPAN_MS + 1])
def test_dates_that_do_not_go_together(expires_ms: int) -> None:
    assert _code(NOW, expires_ms, CLOCKS["set and right"]) == "issued"


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T08:00:00+08:00", 0),
        ("2026-11-24T05:00:00.250Z", 1_795_496_400_250),
        ("1969-12-31T23:59:59Z", -1000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
    ],
)
def test_a_date_of_rfc_3339(text: str, t_ms: int) -> None:
    assert unix_ms(text) == t_ms
    assert unix_ms(rfc_3339(t_ms)) == t_ms - t_ms % 1000


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T05:00:60Z",
        "2026-11-24T05:00:00+24:00",
        "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59.9999999Z",
        "10000-01-01T00:00:00Z",
        None,
        0,
    ],
)
def test_what_is_no_date(text: object) -> None:
    assert unix_ms(text) is None


@pytest.mark.parametrize(
    ("t_ms", "text"),
    [
        (-(2**80), "0001-01-01T00:00:00Z"),
        (-62_135_596_800_001, "0001-01-01T00:00:00Z"),
        (2**80, "9999-12-31T23:59:59Z"),
        (-30_000_000_000_000, "1019-05-04T18:40:00Z"),
    ],
)
def test_every_number_can_be_written_as_a_date(t_ms: int, text: str) -> None:
    assert rfc_3339(t_ms) == text
