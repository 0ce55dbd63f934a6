"""One value at a time: what is refused, at which path and under which code."""

import pytest

from drivers.sdk.tables.reader import labels
from tests.agent.config.config_fakes import MINIMAL, SENSOR, found, parsed


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("keepalive_s = 4", "range"),
        ("keepalive_s = 3601", "range"),
        ("keepalive_s = 60.5", "type"),
        ("keepalive_s = true", "type"),
        ('keepalive_s = "60"', "type"),
        ("keepalive_s = [60]", "type"),
        ("keepalive_s = 2026-11-24", "type"),
        ("keepalive_s = 0x" + "f" * 5_000, "range"),
    ],
)
def test_a_whole_number_is_checked(line: str, code: str) -> None:
    assert found(MINIMAL, line) == [("broker.keepalive_s", code)]


@pytest.mark.parametrize("value", ["5", "3600"])
def test_bounds_are_inside(value: str) -> None:
    assert found(MINIMAL, f"keepalive_s = {value}") == []


def test_a_number_without_bounds_fits_into_64_bits() -> None:
    for value, errors in (("0x7fffffffffffffff", []), ("0x8000000000000000", ["range"])):
        codes = [code for _, code in found(MINIMAL, "[publish]", f"budget_bytes_per_day = {value}")]
        assert codes == errors


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("interval_s = -0.1", "range"),
        ("interval_s = nan", "not_finite"),
        ("interval_s = inf", "not_finite"),
        ("interval_s = false", "type"),
        ('interval_s = "10"', "type"),
    ],
)
def test_a_number_is_checked(line: str, code: str) -> None:
    assert found(MINIMAL, SENSOR, line) == [("sensor.air-1.interval_s", code)]


@pytest.mark.parametrize("value", ["5", "true", '""', '"MSGPACK"', '["json"]'])
def test_a_choice_is_checked(value: str) -> None:
    assert found(MINIMAL, "[publish]", f"encoding = {value}") == [("publish.encoding", "choice")]


def test_a_choice_of_numbers_takes_no_true() -> None:
    assert found(MINIMAL, SENSOR, "stop_bits = true") == [("sensor.air-1.stop_bits", "choice")]


def test_true_and_false_are_checked() -> None:
    assert found(MINIMAL, SENSOR, "required = 1") == [("sensor.air-1.required", "type")]


@pytest.mark.parametrize("name", ["", "Air", "-a", "a_b", "a/b", "a b", "ä", "a" * 33, "_agent", "a\\n"])
def test_a_name_is_checked(name: str) -> None:
    assert found(MINIMAL, SENSOR.replace("air-1", name)) == [("sensor[0].id", "pattern")]


@pytest.mark.parametrize("root", ["", "/a", "a/", "a//b", "a/+", "#", "a b", "$SYS"])
def test_the_topic_root_is_checked(root: str) -> None:
    text = MINIMAL.replace('sector = "health"', f'sector = "health"\nroot = "{root}"')
    assert found(text) == [("gateway.root", "pattern")]


def test_the_topic_root_may_have_several_levels() -> None:
    text = MINIMAL.replace('sector = "health"', 'sector = "health"\nroot = "id/sulsel/makassar"')
    assert found(text) == []


@pytest.mark.parametrize(("line", "code"), [(f'label = "{"x" * 1025}"', "length"), (r'label = "a\u0000b"', "pattern")])
def test_a_text_is_bounded_and_printable(line: str, code: str) -> None:
    assert found(MINIMAL, SENSOR, line) == [("sensor.air-1.label", code)]


def test_a_certificate_may_have_lines() -> None:
    assert found(MINIMAL, 'ca_pem = """-----BEGIN\nEND-----\n"""') == []


@pytest.mark.parametrize("value", ["1", '"x"', "[1]"])
def test_a_table_must_be_a_table(value: str) -> None:
    assert found(f"store = {value}", MINIMAL) == [("store", "type")]


@pytest.mark.parametrize("table", ["sensor", "bus", "alarm"])
@pytest.mark.parametrize("value", ["1", "{}", "[1]", '[{ id = "a" }, 2]'])
def test_a_list_of_tables_must_be_one(table: str, value: str) -> None:
    assert found(f"{table} = {value}", MINIMAL) == [(table, "type")]


def test_the_entries_of_a_list_are_checked_one_by_one() -> None:
    assert found(MINIMAL, '[commands]\nallow = ["flush", "reboot", 1]') == [
        ("commands.allow[1]", "choice"),
        ("commands.allow[2]", "choice"),
    ]


def test_the_entries_of_a_mapping_are_checked_one_by_one() -> None:
    text = "deadband = { pm2_5 = 0.5, pm10 = true, PM = 1 }"
    assert found(MINIMAL, SENSOR, text) == [
        ("sensor.air-1.deadband.pm10", "type"),
        ("sensor.air-1.deadband.PM", "pattern"),
    ]


@pytest.mark.parametrize(
    ("line", "path", "near"),
    [
        ("intervall_s = 1", "sensor.air-1.intervall_s", "interval_s"),
        ("angle = 1", "sensor.air-1.angle", "angle_deg"),
        ("calibrate = { pm10 = { ofset = 1 } }", "sensor.air-1.calibrate.pm10.ofset", "offset"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_a_near_one(line: str, path: str, near: str) -> None:
    (problem,) = parsed(MINIMAL, SENSOR, line).problems
    assert (problem.path, problem.code) == (path, "unknown_key")
    assert near in problem.hint


def test_an_unknown_table_is_an_error() -> None:
    assert found(MINIMAL, "[brokers]") == [("brokers", "unknown_key")]


def test_the_options_of_a_driver_are_no_key_of_the_file() -> None:
    assert found(MINIMAL, SENSOR, "options = {}") == [("sensor.air-1.options", "unknown_key")]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("angle_deg = 91", "range"),
        ("angle_deg = true", "type"),
        ("gate = 1.5", "type"),
        ("mode = 1", "type"),
        ('inverted = "yes"', "type"),
    ],
)
def test_a_key_of_a_driver_is_checked_as_it_declares(line: str, code: str) -> None:
    assert found(MINIMAL, SENSOR, line) == [(f"sensor.air-1.{line.split()[0]}", code)]


def test_keys_of_an_unknown_driver_are_not_judged() -> None:
    assert found(MINIMAL, SENSOR.replace("dust", "fog"), "height = 3") == [("sensor.air-1.driver", "unknown_driver")]


def test_entries_without_a_good_id_of_their_own_are_counted() -> None:
    assert labels("sensor", ["a", "b", "b", "B", None]) == [
        "sensor.a",
        "sensor[1]",
        "sensor[2]",
        "sensor[3]",
        "sensor[4]",
    ]
