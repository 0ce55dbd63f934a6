"""Values as people read them."""

import pytest

from agent.cli.demo.city import PLACES
from agent.cli.demo.readable import readable_row, readable_value
from agent.fleet.gap_ledger import StreamId
from agent.fleet.subscriber import Arrival, Subscriber


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (23_412_345_678, "B", "23.4 GB"),
        (512, "B", "512 B"),
        (23.4567, "ug/m3", "23.46 µg/m³"),
        (-5.1336123, "lat", "-5.13361°"),
        (4.0, "Cel", "4 °C"),
        (123_456, "ppm", "123456.00 ppm"),
        (True, "", "yes"),
        (None, "Cel", "-"),
        ("in\x1b[2J", "", "in?[2J"),
    ],
)
def test_a_value_is_rounded_and_has_the_sign_that_people_know(value: object, unit: str, shown: str) -> None:
    assert readable_value(value, unit) == shown


def test_a_row_shows_the_chosen_fields_only() -> None:
    of = StreamId("halte-7", "telemetry/air-1", "00000001")
    row = {"t": 1, "pm2_5": 23.4, "pm10": 41.0, "other": 1}
    arrival = Arrival(of, 1, row, late=False)
    assert readable_row(arrival, Subscriber(), ("pm2_5", "pm10", "absent")) == "pm2.5 23.4, pm10 41"


def test_an_event_is_shown_without_its_keys() -> None:
    of = StreamId("halte-7", "event/_agent", "00000001")
    arrival = Arrival(of, 1, {"t": 1, "ev": "started", "sev": "info", "reason": "start"}, late=False)
    assert readable_row(arrival, Subscriber(), ()) == "started, reason start"


def test_no_sensor_of_the_demo_shows_more_than_four_fields() -> None:
    assert max(len(device.fields) for place in PLACES for device in place.devices) <= 4
