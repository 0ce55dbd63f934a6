"""The time in a GNSS measurement: only with a fix, strictly parsed, moved by the rollovers of the GPS week."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.base.timekeeping.gnss_time import can_tell_time, time_of
from drivers import nmea0183
from drivers.sdk.contract import Measurement, Value

BUILD_MS = 1_793_000_000_000


def measurement(utc: Value = "083559.50", date: Value = "241126", **q: str) -> Measurement:
    return Measurement({"utc": utc, "date": date, "lat": -5.1}, q)


def test_the_driver_for_gnss_receivers_can_tell_the_time() -> None:
    assert can_tell_time(nmea0183.DRIVER.fields)
    assert not can_tell_time({"utc": 1})


def test_a_measurement_with_a_fix_tells_the_time() -> None:
    expected = datetime(2026, 11, 24, 8, 35, 59, 500_000, tzinfo=UTC)
    assert time_of(measurement(), BUILD_MS) == expected.timestamp() * 1000
    assert time_of(measurement(utc="083559"), BUILD_MS) == expected.timestamp() * 1000 - 500


def test_a_leap_second_is_the_second_after_59() -> None:
    midnight = datetime(2027, 1, 1, tzinfo=UTC)
    assert time_of(measurement(utc="235960", date="311226"), BUILD_MS) == midnight.timestamp() * 1000


@pytest.mark.parametrize(
    "bad",
    [
        measurement(lat="bad:nofix"),
        measurement(utc=None),
        measurement(date=None),
        measurement(utc=83559.5),
        measurement(utc="8355"),
        measurement(utc="243559.00"),
        measurement(utc="086059.00"),
        measurement(utc="083561.00"),
        measurement(utc="08355\u0669"),
        measurement(date="310226"),
        measurement(date="001126"),
        measurement(date="24112026"),
        Measurement({"lat": -5.1}),
    ],
)
def test_anything_else_tells_no_time(bad: Measurement) -> None:
    assert time_of(bad, BUILD_MS) is None


@given(st.datetimes(datetime(2026, 11, 1), datetime(2079, 12, 31)), st.integers(0, 2))
def test_a_receiver_that_repeats_old_weeks_is_corrected(true: datetime, rollovers: int) -> None:
    sent = true - rollovers * timedelta(weeks=1024)
    told = time_of(measurement(f"{sent:%H%M%S}", f"{sent:%d%m%y}"), BUILD_MS)
    if sent.year < 1980:
        return  # no receiver sends such a date
    assert told is not None
    true_ms = true.replace(microsecond=0, tzinfo=UTC).timestamp() * 1000
    assert (true_ms - told) % (1024 * 7 * 86_400_000) == 0
    assert told >= BUILD_MS
    if true_ms < BUILD_MS + 1024 * 7 * 86_400_000:
        assert told == true_ms
