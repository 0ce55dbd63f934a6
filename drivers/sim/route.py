"""A vehicle on a route, and the position of its GNSS receiver, once per second."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise

from drivers.sim.nmea import Values

Point = tuple[float, float]
"""Latitude and longitude in degrees."""

_METRES_PER_DEGREE = 111_195.0
"""Of a great circle on a sphere with the Earth's mean radius, 6,371 km."""

AROUND_KAREBOSI: Sequence[Point] = (
    (-5.1336, 119.4109),
    (-5.1338, 119.4134),
    (-5.1363, 119.4133),
    (-5.1362, 119.4107),
)
"""The block around Karebosi square in Makassar: Jalan Ahmad Yani, Jalan Jenderal Sudirman, Jalan Kartini and Jalan
Kajaolalido. The corners are accurate to about 50 m only."""


def drive_around(corners: Sequence[Point], speed_m_s: float, period_s: float = 1.0) -> Callable[[int], Values]:
    """Return values for frame number n of a receiver that drives around these corners forever, at a steady speed.

    ``utc`` and ``date`` are taken from this computer's clock.
    """
    ring = [*corners, corners[0]]
    ends_m = list(accumulate(_distance_m(start, end) for start, end in pairwise(ring)))

    def values(number: int) -> Values:
        along_m = number * period_s * speed_m_s % ends_m[-1]
        leg = bisect_right(ends_m, along_m)
        start, end = ring[leg], ring[leg + 1]
        begin_m = ends_m[leg - 1] if leg else 0.0
        share = (along_m - begin_m) / (ends_m[leg] - begin_m)
        now = datetime.now(UTC)
        return {
            "lat": start[0] + share * (end[0] - start[0]),
            "lon": start[1] + share * (end[1] - start[1]),
            "speed": speed_m_s,
            "course": _course_deg(start, end),
            "utc": now.strftime("%H%M%S.00"),
            "date": now.strftime("%d%m%y"),
        }

    return values


def _north_east_m(start: Point, end: Point) -> tuple[float, float]:
    north_m = (end[0] - start[0]) * _METRES_PER_DEGREE
    east_m = (end[1] - start[1]) * _METRES_PER_DEGREE * math.cos(math.radians(start[0]))
    return north_m, east_m


def _distance_m(start: Point, end: Point) -> float:
    """Return the distance between points of one city, on a flat Earth."""
    return math.hypot(*_north_east_m(start, end))


def _course_deg(start: Point, end: Point) -> float:
    north_m, east_m = _north_east_m(start, end)
    return math.degrees(math.atan2(east_m, north_m)) % 360
