"""Keys that are accepted and do nothing yet."""

import pytest

from agent.core.config_pending import PENDING
from agent.core.config_values import keys_of
from agent.core.settings import Broker, Clock, Commands, Config, Privacy, Publish, Sensor, Store, Web
from tests.agent.core.config_fakes import MINIMAL, SENSOR, found, warned

TABLES: dict[str, type] = {
    "broker": Broker, "publish": Publish, "store": Store, "clock": Clock, "web": Web, "privacy": Privacy,
    "commands": Commands, "sensor": Sensor,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[web]\nlisten = "127.0.0.1:8080"', "web.listen"),
        (SENSOR + '[clock]\nsource = "air-1"', "clock.source"),
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
