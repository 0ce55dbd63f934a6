"""A vehicle on a route."""

import itertools
import math

import pytest

from drivers.sim.route import AROUND_KAREBOSI, drive_around

SQUARE = [(0.0, 0.0), (0.0, 0.001), (-0.001, 0.001), (-0.001, 0.0)]
"""111.195 m a side: east, south, west, north."""


def test_it_goes_round_at_its_speed_and_turns_at_the_corners() -> None:
    values = drive_around(SQUARE, speed_m_s=11.1195)
    assert [round(float(values(n)["course"] or 0)) for n in (0, 9, 11, 21, 31, 41)] == [90, 90, 180, 270, 0, 90]
    assert values(5)["lat"] == pytest.approx(0.0, abs=1e-9)
    assert values(5)["lon"] == pytest.approx(0.0005)
    assert values(45)["lon"] == pytest.approx(0.0005)


def test_around_karebosi_no_second_is_longer_than_its_speed_allows_and_all_are_in_the_city() -> None:
    values = drive_around(AROUND_KAREBOSI, 7.0)
    places = [(float(values(n)["lat"] or 0), float(values(n)["lon"] or 0)) for n in range(400)]
    for (lat, lon), (lat2, lon2) in itertools.pairwise(places):
        assert math.hypot(lat2 - lat, lon2 - lon) * 111_195 < 7.1
    assert all(-5.14 < lat < -5.13 and 119.41 < lon < 119.42 for lat, lon in places)


def test_the_time_is_a_receivers() -> None:
    values = drive_around(SQUARE, 1.0)(0)
    assert len(str(values["utc"])) == len("010203.00")
    assert len(str(values["date"])) == len("241126")
