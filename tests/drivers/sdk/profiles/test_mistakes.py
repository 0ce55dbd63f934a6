"""Any mistake in the tables of a device is reported, and nothing else happens."""

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from agent.config.io.catalog import Catalog
from drivers.sdk.profiles.kind import KINDS
from drivers.sdk.profiles.profile import device_kind
from drivers.sdk.tables.problem import Report
from drivers.sdk.tables.reader import parse_table
from tests.support.generic_drivers import attempt

SHIPPED = [tomllib.loads(file.read_text()) for file in sorted(Path(drivers.__file__).parent.glob("profiles/*.toml"))]
GENERIC = {"serial_frame": "serial_frame", "serial_line": "serial_line", "modbus": "modbus_rtu"}
VALUES: list[object] = [
    0,
    -1,
    3,
    70000,
    10**30,
    -5.5,
    float("nan"),
    1e308,
    True,
    "",
    "x",
    "{",
    "AA C0",
    "(?P<a>x)",
    "u8",
]
VALUES += ["bit", "ä\n\x00", "€", [], [1], ["x"], [[]], {}, {"at": 1, "type": "u8"}, [{}], "y" * 3000, {"a": {"b": 1}}]
KEYS = ["zeros", "from", "to", "event", "map", "clip", "min", "max", "word_check", "length", "sync", "format", "column"]
KEYS += ["columns", "separator", "pattern", "candidate", "addresses", "ready", "word_order", "fields", "rule", "x"]


def _places(content: object) -> Iterator[tuple[dict[str, object] | list[object], object]]:
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key  # type: ignore[misc]
        yield from _places(content[key])  # type: ignore[index]


def _changed(content: dict[str, object], random: Random) -> dict[str, object]:
    """The tables with some keys removed, renamed, added or set to a value that may be nonsense."""
    content = copy.deepcopy(content)
    for _unused in range(random.choice([1, 1, 1, 2, 4])):
        holder, key = random.choice(list(_places(content)))
        if isinstance(holder, list) or random.random() < 0.4:
            holder[key] = copy.deepcopy(random.choice(VALUES))  # type: ignore[index,call-overload]
        elif random.random() < 0.5:
            holder[random.choice(KEYS)] = copy.deepcopy(random.choice(VALUES))
        elif random.random() < 0.5:
            holder[random.choice(KEYS)] = holder.pop(key)  # type: ignore[call-overload]
        else:
            del holder[key]  # type: ignore[arg-type]
        if not content:
            break
    return content


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([tables for tables in SHIPPED if tables["kind"] in GENERIC]), st.randoms(use_true_random=False))
def test_a_generic_driver_is_built_or_every_problem_has_one_line(shipped: dict[str, object], random: Random) -> None:
    generic = Catalog().get(GENERIC[str(shipped["kind"])])
    tables = _changed(shipped, random)
    driver, problems = attempt(generic, {key: tables[key] for key in generic.table_keys if key in tables})
    assert (driver is None) == any(problem.level == "error" for problem in problems)
    assert [problem for problem in problems if "\n" in str(problem) or len(str(problem)) > 2000] == []


def test_the_tables_of_a_device_are_bounded() -> None:
    for kind in KINDS:
        report = Report()
        parse_table(device_kind(kind).tables, {"fields": {f"f{number}": {} for number in range(1001)}}, "", report)
        assert [problem.path for problem in report.problems() if problem.code == "length"] == ["fields"]
