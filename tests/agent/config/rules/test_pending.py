"""Keys that are accepted and do nothing yet."""

import ast
from functools import cache
from pathlib import Path

import pytest

from agent.config.rules.pending import PENDING
from agent.config.settings import (
    Alarm,
    Broker,
    Bus,
    ClockSettings,
    Commands,
    Config,
    Gateway,
    PrivacySettings,
    Publish,
    Sensor,
    StoreSettings,
    Web,
)
from drivers.sdk.tables.reader import keys_of
from tests.agent.config.config_fakes import MINIMAL, SENSOR, found, warned
from tests.support.syntax import tree

TABLES: dict[str, type] = {
    "gateway": Gateway,
    "broker": Broker,
    "publish": Publish,
    "store": StoreSettings,
    "clock": ClockSettings,
    "web": Web,
    "privacy": PrivacySettings,
    "commands": Commands,
    "bus": Bus,
    "sensor": Sensor,
    "alarm": Alarm,
}
AGENT = Path(__file__).parents[4] / "agent"
CHECKS = {
    "config/missing",
    "config/rules/driver",
    "config/rules/keys",
    "config/rules/pending",
    "config/settings",
    "config/values",
}
"""Modules that look at every key, whether it has an effect or not."""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[web]\nlisten = "127.0.0.1:8080"', "web.listen"),
        ("[store]\nmax_age_days = 7", "store.max_age_days"),
        ("[publish]\nbudget_bytes_per_day = 1000000", "publish.budget_bytes_per_day"),
        (SENSOR + 'aggregate = "mean"', "sensor.air-1.aggregate"),
        (SENSOR + "deadband = { pm10 = 1 }", "sensor.air-1.deadband"),
    ],
)
def test_a_key_without_effect_is_warned_about(text: str, path: str) -> None:
    assert found(MINIMAL, text) == []
    assert warned(MINIMAL, text) == [(path, "no_effect")]


@pytest.mark.parametrize(
    "text",
    [
        SENSOR + 'aggregate = "last"',
        "[publish]\nbudget_bytes_per_day = 0",
        SENSOR + "required = false",
        'ca_pem = "one"',
        '[clock]\ngrace_s = 60\nsource = "system"',
    ],
)
def test_a_value_that_says_what_is_done_is_not_warned_about(text: str) -> None:
    assert warned(MINIMAL, text) == []


def test_a_wrong_value_is_not_warned_about_too() -> None:
    assert warned(MINIMAL, "[web]\nlisten = 1") == []


def test_the_table_names_keys_that_exist() -> None:
    for rule in PENDING:
        table, _, key = rule.partition(".")
        assert table in keys_of(Config)
        assert key in {"", "*"} or key in keys_of(TABLES[table])


@cache
def _reads() -> frozenset[tuple[str, str]]:
    """Every attribute that the agent reads, but for the checks: of what (its last name, if it has one), and which."""
    found = set()
    for file in AGENT.rglob("*.py"):
        if file.relative_to(AGENT).with_suffix("").as_posix() in CHECKS:
            continue
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Attribute):
                owner = node.value
                of = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                found.add((of, node.attr))
    return frozenset(found)


WHOLE = [rule.removesuffix(".*") for rule in PENDING if "." not in rule or rule.endswith(".*")]
KEYS = [(table, key) for table, kind in TABLES.items() if table not in WHOLE for key in keys_of(kind)]
SHARED = {"source"}
"""Names that other things have too: a driver has a source."""


@pytest.mark.parametrize("table", WHOLE)
def test_nothing_reads_a_table_that_is_said_to_have_no_effect(table: str) -> None:
    assert table not in {name for _, name in _reads()}


@pytest.mark.parametrize(("table", "key"), [pair for pair in KEYS if ".".join(pair) in PENDING])
def test_nothing_reads_a_key_that_is_said_to_have_no_effect(table: str, key: str) -> None:
    assert not [of for of, name in _reads() if name == key and (key not in SHARED or of == table)]


@pytest.mark.parametrize(("table", "key"), [pair for pair in KEYS if ".".join(pair) not in PENDING])
def test_d3_something_reads_a_key_that_is_not_said_to_have_no_effect(table: str, key: str) -> None:
    assert key in {name for _, name in _reads()}
