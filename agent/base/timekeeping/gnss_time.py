"""The time in a measurement of a GNSS receiver. No I/O."""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from drivers.sdk.contract import Measurement

TIME_FIELDS = ("utc", "date")
"""The fields that a driver needs to serve as a clock: ``hhmmss[.sss]`` and ``ddmmyy``, as in NMEA 0183."""

_TIME = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]{1,9})?")
_DATE = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})")
_ROLLOVER_MS = 1024 * 7 * 86_400_000
"""GPS counts weeks modulo 1,024; an old receiver repeats dates of 19.6 years ago."""


def can_tell_time(fields: Collection[str]) -> bool:
    """Return whether a driver with these fields can serve as a clock."""
    return all(name in fields for name in TIME_FIELDS)


def time_of(measurement: Measurement, min_ms: int) -> int | None:
    """Return the time of a measurement with a fix, in Unix milliseconds UTC; ``None`` if it has none.

    ``min_ms``: no correct time is earlier; an earlier one is moved by whole rollovers of the GPS week.
    """
    utc, date = (measurement.values.get(name) for name in TIME_FIELDS)
    if measurement.q or not isinstance(utc, str) or not isinstance(date, str):
        return None
    clock, day = _TIME.fullmatch(utc), _DATE.fullmatch(date)
    if clock is None or day is None:
        return None
    year = int(day[3]) + (1900 if int(day[3]) >= 80 else 2000)
    second, leap_ms = (59, 1000) if clock[3] == "60" else (int(clock[3]), 0)
    try:
        moment = datetime(year, int(day[2]), int(day[1]), int(clock[1]), int(clock[2]), second, tzinfo=UTC)
    except ValueError:
        return None
    t = round(moment.timestamp() * 1000) + leap_ms + int(float(clock[4] or "0") * 1000)
    return t if t >= min_ms else t + -((t - min_ms) // _ROLLOVER_MS) * _ROLLOVER_MS
