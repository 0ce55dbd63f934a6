"""Rules between keys: drivers, ids, ports, calibration, alarms, time zone."""

import pytest

from tests.agent.core.config_fakes import MINIMAL, SENSOR, found, parsed, warned

HOST = '[[sensor]]\nid = "host-1"\ndriver = "host"\n'
BUS = '[[bus]]\nid = "rs485-0"\nport = "/dev/ttyUSB9"\n'
ALARM = '[[alarm]]\nid = "bad-air"\nsensor = "air-1"\nfield = "pm2_5"\n'


def test_an_unknown_driver_is_an_error_that_names_a_near_one() -> None:
    (problem,) = parsed(MINIMAL, SENSOR.replace("dust", "dusty")).problems
    assert (problem.path, problem.code) == ("sensor.air-1.driver", "unknown_driver")
    assert "dust?" in problem.hint


def test_a_driver_that_cannot_be_loaded_says_why() -> None:
    (problem,) = parsed(MINIMAL, SENSOR.replace("dust", "torn")).problems
    assert (problem.path, problem.code) == ("sensor.air-1.driver", "broken_driver")
    assert problem.message == "torn.toml: line 3 is not valid TOML"


@pytest.mark.parametrize(
    ("table", "text"), [("sensor", HOST), ("bus", BUS), ("alarm", SENSOR + ALARM + "above = 1\n" + ALARM)]
)
def test_an_id_is_given_once(table: str, text: str) -> None:
    second = "above = 2" if table == "alarm" else text.replace("USB9", "USB8")
    assert found(MINIMAL, text, second) == [(f"{table}[1].id", "duplicate_id")]


def test_a_serial_driver_needs_a_port() -> None:
    assert found(MINIMAL, '[[sensor]]\nid = "air-1"\ndriver = "dust"') == [("sensor.air-1.port", "no_port")]


def test_a_port_of_the_wrong_type_is_one_error() -> None:
    assert found(MINIMAL, '[[sensor]]\nid = "air-1"\ndriver = "dust"\nport = 3') == [("sensor.air-1.port", "type")]


def test_a_bus_stands_for_a_port() -> None:
    assert found(MINIMAL, BUS, SENSOR.replace("port", "bus").replace("/dev/ttyUSB0", "rs485-0")) == []


def test_a_bus_must_exist() -> None:
    sensor = SENSOR.replace("port", "bus").replace("/dev/ttyUSB0", "rs485-1")
    assert found(MINIMAL, BUS, sensor) == [("sensor.air-1.bus", "unknown_bus")]


def test_a_sensor_has_a_port_or_a_bus() -> None:
    assert found(MINIMAL, BUS, SENSOR, 'bus = "rs485-0"') == [("sensor.air-1.port", "port_and_bus")]


def test_a_port_belongs_to_one_sensor() -> None:
    (problem,) = parsed(MINIMAL, SENSOR, SENSOR.replace("air-1", "air-2")).problems
    assert (problem.path, problem.code) == ("sensor.air-2.port", "port_shared")
    assert "sensor.air-1" in problem.message
    assert "[[bus]]" in problem.hint


def test_a_port_belongs_to_a_bus_or_a_sensor() -> None:
    assert found(MINIMAL, BUS, SENSOR.replace("USB0", "USB9")) == [("sensor.air-1.port", "port_shared")]


def test_a_serial_line_is_of_no_use_to_a_driver_without_one() -> None:
    text = HOST + 'port = "/dev/ttyUSB0"\nbaud = 9600'
    assert found(MINIMAL, text) == []
    assert warned(MINIMAL, text) == [("sensor.host-1.port", "unused"), ("sensor.host-1.baud", "unused")]


@pytest.mark.parametrize("line", ["calibrate = { pm25 = { scale = 2 } }", "deadband = { pm25 = 1 }"])
def test_a_field_must_be_one_of_the_driver(line: str) -> None:
    path = f"sensor.air-1.{line.split()[0]}.pm25"
    (problem,) = [problem for problem in parsed(MINIMAL, SENSOR, line).problems if problem.level == "error"]
    assert (problem.path, problem.code) == (path, "unknown_field")
    assert "pm2_5" in problem.hint


@pytest.mark.parametrize(
    ("lines", "path", "code"),
    [
        ("", "", "condition"),
        ("above = 1\nbelow = 0", "", "condition"),
        ("above = 1\nclear = 2", ".clear", "clear"),
        ("below = 1\nclear = 0", ".clear", "clear"),
        ('above = 1\noutput = "siren"', ".output", "unknown_sensor"),
        ('above = 1\noutput = "air-1"', ".output", "no_output"),
        ("above = true", ".above", "type"),
    ],
)
def test_an_alarm_is_checked(lines: str, path: str, code: str) -> None:
    assert found(MINIMAL, SENSOR, ALARM, lines) == [(f"alarm.bad-air{path}", code)]


@pytest.mark.parametrize("lines", ["above = 1\nclear = 1", "below = 1", "equal = true", "equal = 'open'"])
def test_an_alarm_with_one_condition_is_right(lines: str) -> None:
    assert found(MINIMAL, SENSOR, ALARM, lines) == []


def test_an_alarm_names_a_sensor_and_a_field_that_exist() -> None:
    assert found(MINIMAL, SENSOR, ALARM.replace("air-1", "air-9"), "above = 1") == [
        ("alarm.bad-air.sensor", "unknown_sensor")
    ]
    assert found(MINIMAL, SENSOR, ALARM.replace("pm2_5", "pm25"), "above = 1") == [
        ("alarm.bad-air.field", "unknown_field")
    ]


def test_a_sensor_with_a_wrong_id_is_no_output() -> None:
    assert found(MINIMAL, SENSOR.replace("air-1", "Air"), HOST, ALARM.replace("air-1", "host-1"), "above = 1") == [
        ("sensor[0].id", "pattern"),
        ("alarm.bad-air.field", "unknown_field"),
    ]


def test_only_an_alarm_of_silence_needs_no_field() -> None:
    without = ALARM.replace('field = "pm2_5"\n', "")
    assert found(MINIMAL, SENSOR, without, "stale_s = 60") == []
    assert found(MINIMAL, SENSOR, without, "above = 1") == [("alarm.bad-air.field", "missing")]


def test_the_clock_comes_from_the_system_or_a_sensor() -> None:
    assert found(MINIMAL, SENSOR, '[clock]\nsource = "air-1"') == []
    assert found(MINIMAL, SENSOR, '[clock]\nsource = "gps"') == [("clock.source", "unknown_sensor")]


@pytest.mark.parametrize("zone", ["Asia/Makassar", "UTC"])
def test_a_time_zone_that_exists_is_right(zone: str) -> None:
    assert found(MINIMAL.replace('field = "health"', f'field = "health"\ntimezone = "{zone}"')) == []


def test_a_time_zone_that_does_not_exist_is_an_error_that_names_a_near_one() -> None:
    text = MINIMAL.replace('field = "health"', 'field = "health"\ntimezone = "Asia/Makasar"')
    (problem,) = parsed(text).problems
    assert (problem.path, problem.code) == ("gateway.timezone", "timezone")
    assert "Asia/Makassar" in problem.hint


@pytest.mark.parametrize("zone", ["", "../etc/passwd", "/etc/localtime", "Asia/"])
def test_a_time_zone_is_no_path(zone: str) -> None:
    text = MINIMAL.replace('field = "health"', f'field = "health"\ntimezone = "{zone}"')
    assert found(text) == [("gateway.timezone", "pattern")]
