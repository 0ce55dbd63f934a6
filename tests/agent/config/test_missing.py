"""What is left of a configuration whose drivers are not all there."""

import tomllib

import pytest

from agent.config.missing import Remaining, parse_remaining
from tests.agent.config.config_fakes import MINIMAL, SENSOR, FakeCatalog

GONE = SENSOR.replace("air-1", "gone-1").replace("dust", "no-such").replace("USB0", "USB1")
TORN = SENSOR.replace("air-1", "torn-1").replace("dust", "torn").replace("USB0", "USB2")
ALARM = '[[alarm]]\nid = "a-{0}"\nsensor = "{0}"\nfield = "pm10"\nabove = 1\n'


def _read(*parts: str) -> Remaining:
    return parse_remaining(tomllib.loads("\n".join((MINIMAL, *parts))), FakeCatalog())


def test_a_whole_configuration_stays_whole() -> None:
    found = _read(SENSOR)
    assert found.parsed.config is not None
    assert (found.missing, [one.id for one in found.parsed.config.sensor]) == ((), ["air-1"])


@pytest.mark.parametrize("gone", [GONE, TORN, GONE + TORN, GONE * 2, GONE + "interval_s = -1"])
def test_sensors_without_a_driver_are_left_out_with_what_needs_them(gone: str) -> None:
    more = '[clock]\nsource = "gone-1"\n' + ALARM.format("gone-1") + ALARM.format("air-1")
    found = _read(SENSOR, gone, more if "gone-1" in gone else "")
    assert found.parsed.config is not None
    assert [one.id for one in found.parsed.config.sensor] == ["air-1"]
    assert [one.id for one in found.parsed.config.alarm] == (["a-air-1"] if "gone-1" in gone else [])
    assert found.missing
    assert all(one.path.startswith("sensor") for one in found.missing)


def test_hundreds_of_them_are_left_out() -> None:
    many = "".join(
        f'[[sensor]]\nid = "gone-{number}"\ndriver = "no-such"\nport = "/dev/tty{number}"\n' for number in range(250)
    )
    found = _read(SENSOR, many)
    assert found.parsed.config is not None
    assert [one.id for one in found.parsed.config.sensor] == ["air-1"]


@pytest.mark.parametrize("wrong", ["[publish]\ncolour = 1", "[store]\ncommit_s = -1", "[[bus]]\nid = 1"])
def test_where_more_is_wrong_nothing_is_left(wrong: str) -> None:
    assert _read(SENSOR, GONE, wrong).parsed.config is None
