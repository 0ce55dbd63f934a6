"""Rules between keys: drivers, ids, ports, calibration, alarms, time zone."""

import pytest

from tests.agent.config.config_fakes import MINIMAL, SENSOR, found, parsed, warned

GNSS = '[[sensor]]\nid = "gps"\ndriver = "receiver"\nport = "/dev/ttyACM0"\n'
HOST = '[[sensor]]\nid = "host-1"\ndriver = "host"\n'
BUS = '[[bus]]\nid = "rs485-0"\nport = "/dev/ttyUSB9"\n'
METER = '[[sensor]]\nid = "meter-1"\ndriver = "meter"\n'
CLIMATE = '[[sensor]]\nid = "room-1"\ndriver = "climate"\n'
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
    assert found(MINIMAL, BUS, METER + 'bus = "rs485-0"') == []


def test_units_of_one_bus_are_sensors_of_their_own() -> None:
    second = METER.replace("meter-1", "meter-2")
    assert found(MINIMAL, BUS, METER, 'bus = "rs485-0"\nunit = 1', second, 'bus = "rs485-0"\nunit = 2') == []


def test_a_bus_must_exist() -> None:
    assert found(MINIMAL, BUS, METER + 'bus = "rs485-1"') == [("sensor.meter-1.bus", "unknown_bus")]


def test_a_sensor_has_a_port_or_a_bus() -> None:
    text = METER + 'bus = "rs485-0"\nport = "/dev/ttyUSB1"'
    assert found(MINIMAL, BUS, text) == [("sensor.meter-1.port", "port_and_bus")]


def test_a_modbus_driver_needs_one_of_them() -> None:
    assert found(MINIMAL, METER) == [("sensor.meter-1.port", "no_port")]


def test_a_device_that_only_streams_cannot_share_its_port() -> None:
    text = SENSOR.replace("port", "bus").replace("/dev/ttyUSB0", "rs485-0")
    assert ("sensor.air-1.bus", "not_shared") in found(MINIMAL, BUS, text)


def test_sensors_may_name_the_same_modbus_server() -> None:
    text = METER.replace('"meter"', '"network_meter"') + 'port = "192.0.2.7:502"\n'
    assert found(MINIMAL, text + "unit = 1", text.replace("meter-1", "meter-2") + "unit = 2") == []


def test_an_i2c_address_must_be_one_that_the_device_can_have() -> None:
    assert found(MINIMAL, CLIMATE + "address = 0x45") == []
    assert found(MINIMAL, CLIMATE + "address = 0x46") == [("sensor.room-1.address", "address")]


@pytest.mark.parametrize(
    ("line", "code"), [("", "missing"), ('w1 = "10-0316a2795cff"', "family"), ('w1 = "28-../../etc"', "family")]
)
def test_a_probe_has_the_number_of_its_family(line: str, code: str) -> None:
    probe = '[[sensor]]\nid = "fridge-1"\ndriver = "probe"\n'
    assert found(MINIMAL, probe + 'w1 = "28-0316a2795cff"') == []
    assert found(MINIMAL, probe + line) == [("sensor.fridge-1.w1", code)]


def test_a_contact_has_a_chip_and_a_line() -> None:
    contact = '[[sensor]]\nid = "door-1"\ndriver = "contact"\n'
    assert found(MINIMAL, contact) == [("sensor.door-1.chip", "missing"), ("sensor.door-1.line", "missing")]
    assert found(MINIMAL, contact + 'chip = "gpiochip0"\nline = "GPIO17"') == []
    assert found(MINIMAL, contact + 'chip = "gpiochip0"\nline = 0') == []


def test_a_device_on_two_lines_has_a_key_for_each() -> None:
    gate = '[[sensor]]\nid = "gate-1"\ndriver = "gate"\nchip = "gpiochip0"\n'
    assert found(MINIMAL, gate + 'line_a = 5\nline_b = "GPIO6"\nbias = "pull_up"') == []
    assert found(MINIMAL, gate + "line_a = 5") == [("sensor.gate-1.line_b", "missing")]
    assert found(MINIMAL, gate + 'line_a = 5\nline_b = true\nbias = "up"') == [
        ("sensor.gate-1.line_b", "type"),
        ("sensor.gate-1.bias", "choice"),
    ]


def test_a_generic_driver_is_made_of_the_sensor_s_own_tables() -> None:
    tank = '[[sensor]]\nid = "tank-1"\ndriver = "generic"\nport = "/dev/ttyUSB3"\n'
    good = parsed(MINIMAL, tank + 'calibrate = { level = { scale = 2.0 } }\n[sensor.frame]\nsync = "A5"')
    assert good.problems == ()
    assert list(good.drivers["tank-1"].fields) == ["level"]
    assert found(MINIMAL, tank + "[sensor.frame]\nlength = 3") == [("sensor.tank-1.frame.sync", "missing")]
    assert ("sensor.tank-1.frames", "unknown_key") in found(MINIMAL, tank + '[sensor.frames]\nsync = "A5"')


def test_keys_that_the_driver_does_not_use_are_told() -> None:
    text = CLIMATE + 'chip = "gpiochip0"\nw1 = "28-1"\nunit = 3\nactive_low = true'
    assert found(MINIMAL, text) == []
    assert [code for _, code in warned(MINIMAL, text)] == ["unused"] * 4


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
    assert found(MINIMAL, SENSOR, '[clock]\nsource = "system"') == []
    assert found(MINIMAL, SENSOR, '[clock]\nsource = "air-1"') == [("clock.source", "no_time")]
    assert found(MINIMAL, GNSS, '[clock]\nsource = "gps"') == []
    assert found(MINIMAL, SENSOR, '[clock]\nsource = "gps"') == [("clock.source", "unknown_sensor")]


@pytest.mark.parametrize("zone", ["Asia/Makassar", "UTC"])
def test_a_time_zone_that_exists_is_right(zone: str) -> None:
    assert found(MINIMAL.replace('sector = "health"', f'sector = "health"\ntimezone = "{zone}"')) == []


def test_a_time_zone_that_does_not_exist_is_an_error_that_names_a_near_one() -> None:
    text = MINIMAL.replace('sector = "health"', 'sector = "health"\ntimezone = "Asia/Makasar"')
    (problem,) = parsed(text).problems
    assert (problem.path, problem.code) == ("gateway.timezone", "timezone")
    assert "Asia/Makassar" in problem.hint


@pytest.mark.parametrize("zone", ["", "../etc/passwd", "/etc/localtime", "Asia/"])
def test_a_time_zone_is_no_path(zone: str) -> None:
    text = MINIMAL.replace('sector = "health"', f'sector = "health"\ntimezone = "{zone}"')
    assert found(text) == [("gateway.timezone", "pattern")]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (HOST + "interval_s = 0", True),
        (HOST + "interval_s = 0.049", True),
        (HOST + "interval_s = 0.05", False),
        (METER + 'bus = "rs485-0"\ninterval_s = 0\n' + BUS, True),
        (CLIMATE + "i2c_bus = 1\naddress = 0x44\ninterval_s = 0.01", True),
        (SENSOR + "interval_s = 0", False),
        (SENSOR + "interval_s = 0.01", False),
        ('[[sensor]]\nid = "door-1"\ndriver = "contact"\nchip = "c"\nline = 1\ninterval_s = 0', False),
        ('[[sensor]]\nid = "door-1"\ndriver = "contact"\nchip = "c"\nline = 1\ninterval_s = 0.01', True),
    ],
)
def test_a_device_is_not_asked_without_a_pause(text: str, wrong: bool) -> None:
    name = text.split('id = "')[1].split('"')[0]
    assert found(MINIMAL, text) == ([(f"sensor.{name}.interval_s", "range")] if wrong else [])
