"""What lies between the keys of a device's tables: each contradiction is a problem at the key to change."""

import pytest

from agent.config.io.catalog import Catalog
from drivers.sdk.tables.problem import Report
from tests.support.generic_drivers import attempt

FRAME = """
frame = { sync = "AA BB", length = 8, check = { sum = "sum16be", from = 0, to = 6, at = 6 } }
[fields]
a = { at = 2, type = "u8", min = 0, max = 9 }
b = { at = 3, type = "u16be" }
[[rule]]
quality = "bad:crc"
when = { a = 1 }
"""
FLEXIBLE = FRAME.replace("length = 8", 'length = { at = 2, type = "u8", min = 8, max = 20 }')
LINES = """
lines = { format = "json" }
[fields]
a = { min = 0 }
"""
MODBUS = """
reads = [{ function = 3, address = 0, count = 4 }]
[fields]
a = { register = 3 }
"""


def found(driver: str, tables: str) -> list[tuple[str, str]]:
    built, problems = attempt(Catalog().get(driver), tables)
    assert (built is None) == bool(problems)
    return [(problem.path, problem.code) for problem in problems]


@pytest.mark.parametrize(
    ("driver", "tables"),
    [("serial_frame", FRAME), ("serial_frame", FLEXIBLE), ("serial_line", LINES), ("modbus_rtu", MODBUS)],
)
def test_tables_that_fit_together_make_a_driver(driver: str, tables: str) -> None:
    assert found(driver, tables) == []


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ("at = 3", "at = 7", [("fields.b.at", "range")]),
        ("length = 8", "length = 2", [("frame.length", "range")]),
        ("length = 8", "length = 1", [("frame.length", "range")]),
        ('sync = "AA BB"', 'sync = ""', [("frame.sync", "length")]),
        ("at = 6 }", "at = 7 }", [("frame.check.at", "range")]),
        ("at = 6 }", "at = -1 }", [("frame.check.at", "range")]),
        ("from = 0", "from = -9", [("frame.check.from", "range")]),
        ("min = 0, ", "clip = true, ", [("fields.a.min", "missing")]),
        ("max = 9", "max = -1", [("fields.a.min", "range")]),
        ("when = { a = 1 }", "", [("rule[0].when", "missing")]),
        ("when = { a = 1 }", "when = { c = 1 }", [("rule[0].when.c", "unknown_name")]),
        ("when = { a = 1 }", "when = {}\nzeros = { from = 2, to = 3 }", []),
        ('type = "u8"', 'type = "u8", scale = 0', [("fields.a.scale", "range")]),
    ],
)
def test_a_contradiction_in_a_frame_is_named(old: str, new: str, problems: list[tuple[str, str]]) -> None:
    assert old in FRAME
    assert found("serial_frame", FRAME.replace(old, new, 1)) == problems


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ('"u8", min = 8', '"f32le", min = 8', [("frame.length.type", "choice")]),
        ("min = 8", "min = 2", [("frame.length.min", "range")]),
        ("max = 20", "max = 7", [("frame.length.min", "range")]),
        ("at = 3", "at = 7", [("fields.b.at", "range")]),
    ],
)
def test_a_contradiction_in_a_length_field_is_named(old: str, new: str, problems: list[tuple[str, str]]) -> None:
    assert old in FLEXIBLE
    assert found("serial_frame", FLEXIBLE.replace(old, new, 1))[:1] == problems


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ('"json"', '"json", columns = 3', [("lines.columns", "unused")]),
        ('"json"', '"csv", columns = 3, pattern = "x"', [("lines.pattern", "unused"), ("lines.columns", "range")]),
        ('"json"', '"csv"', [("lines.columns", "missing")]),
        ('"json"', '"pattern"', [("lines.pattern", "missing")]),
        ('"json"', '"json", candidate = "("', [("lines.candidate", "pattern")]),
        ("a = {", "a = { units = { kg = 1 },", [("fields.a.unit_group", "missing")]),
        ("\nlines", "\nperiod_s = 0\nlines", [("period_s", "range")]),
        ("\nlines", '\nperiod_s = 0\nevent = "seen"\nlines', []),
    ],
)
def test_a_contradiction_in_lines_is_named(old: str, new: str, problems: list[tuple[str, str]]) -> None:
    assert found("serial_line", LINES.replace(old, new, 1)) == problems


def test_a_frame_is_at_least_as_long_as_its_sync() -> None:
    _driver, problems = attempt(Catalog().get("serial_frame"), FRAME.replace("length = 8", "length = 1"))
    assert [problem.hint for problem in problems] == ["an integer from 2 to 1024"]


def test_what_follows_from_a_wrong_key_is_not_reported() -> None:
    assert found("modbus_rtu", MODBUS.replace("function = 3", "function = 6")) == [("reads[0].function", "range")]
    wrong = MODBUS.replace("address = 0", "address = 99999").replace("register = 3", "register = 9")
    assert found("modbus_rtu", wrong) == [("reads[0].address", "range")]
    assert found("modbus_rtu", MODBUS.replace("count = 4", "count = 2")) == [("fields.a.register", "no_block")]
    assert found("serial_frame", FRAME.replace("length = 8", 'length = "8"')) == [("frame.length", "type")]
    assert found("serial_frame", FRAME.replace("a = {", "A = {")) == [
        ("fields.A", "pattern"),
        ("rule[0].when.a", "unknown_name"),
    ]


def test_a_problem_elsewhere_in_the_file_does_not_hide_the_driver() -> None:
    report = Report()
    report.error("sensor.other.port", "type", "")
    generic = Catalog().get("modbus_rtu")
    assert generic.table is not None
    tables = {"reads": [{"address": 0}], "fields": {"a": {"register": 0}}}
    assert generic.table(tables, "sensor.meter", report) is not None
