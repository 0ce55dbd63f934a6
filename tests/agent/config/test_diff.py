"""What differs between two configurations, and what restarts for it."""

from dataclasses import replace
from typing import Any

import pytest

from agent.config.diff import Changes, Difference, Unresolved, diff, differences
from tests.agent.config.config_fakes import DUST, METER

OLD: dict[str, Any] = {
    "broker": {"url": "mqtts://old"},
    "bus": [{"id": "rs485-0", "port": "/dev/ttyUSB0"}],
    "sensor": [
        {"id": "mains", "driver": "meter", "bus": "rs485-0"},
        {"id": "air-1", "driver": "dust", "port": "/dev/ttyUSB1", "interval_s": 10},
        {"id": "siren-1", "driver": "gpio_out"},
        {"id": "tank", "driver": "serial_frame", "frame": {"sync": "AA"}},
    ],
    "alarm": [{"id": "air-bad", "sensor": "air-1", "above": 150, "output": "siren-1"}],
}
ALL = {"mains", "air-1", "siren-1", "tank"}


def _new(**tables: Any) -> dict[str, Any]:
    return {name: table for name, table in {**OLD, **tables}.items() if table is not None}


def _with(name: str, **keys: Any) -> list[dict[str, Any]]:
    return [{**entry, **keys} if entry["id"] == name else entry for entry in OLD["sensor"]]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, []),
        (_new(sensor=list(reversed(OLD["sensor"]))), []),
        (_new(broker={"url": "mqtts://new"}), [Difference("broker.url", "mqtts://old", "mqtts://new")]),
        (_new(publish={"max_rows": 10}), [Difference("publish.max_rows", None, 10)]),
        (_new(sensor=_with("air-1", interval_s=60)), [Difference("sensor.air-1.interval_s", 10, 60)]),
        (_new(sensor=OLD["sensor"][1:]), [Difference("sensor.mains", OLD["sensor"][0], None)]),
        (_new(alarm=None), [Difference("alarm.air-bad", OLD["alarm"][0], None)]),
        (_new(alarm=[]), [Difference("alarm.air-bad", OLD["alarm"][0], None)]),
        (_new(sensor=_with("tank", frame={"sync": "BB"})), [Difference("sensor.tank.frame.sync", "AA", "BB")]),
    ],
)
def test_each_difference_is_named_once(new: dict[str, Any], expected: list[Difference]) -> None:
    assert list(differences(OLD, new)) == expected


def _restarted(old: dict[str, Any], new: dict[str, Any]) -> frozenset[str]:
    return diff(Unresolved(old), Unresolved(new)).started


@pytest.mark.parametrize(
    ("new", "restarted"),
    [
        (OLD, set()),
        (_new(sensor=list(reversed(OLD["sensor"]))), set()),
        (_new(broker={"url": "mqtts://new"}, publish={"encoding": "json"}), set()),
        (_new(sensor=_with("air-1", interval_s=60)), {"air-1"}),
        (_new(sensor=_with("air-1", interval_s=10.0)), set()),
        (_new(sensor=_with("tank", frame={"sync": "BB"})), {"tank"}),
        (_new(sensor=[*OLD["sensor"], {"id": "air-2", "driver": "dust"}]), {"air-2"}),
        (_new(sensor=OLD["sensor"][1:]), set()),
        (_new(bus=[{"id": "rs485-0", "port": "/dev/ttyUSB9"}]), {"mains"}),
        (_new(bus=[*OLD["bus"], {"id": "rs485-1", "port": "/dev/ttyUSB9"}]), set()),
        (_new(alarm=[{**OLD["alarm"][0], "above": 99}]), {"air-1"}),
        (_new(alarm=[{**OLD["alarm"][0], "equal": 1}]), {"air-1"}),
        (_new(alarm=None), {"air-1"}),
        (_new(privacy={"identifiers": "plain"}), ALL),
        (_new(sensor=[]), set()),
    ],
)
def test_a_sensor_restarts_only_if_something_of_its_own_changed(new: dict[str, Any], restarted: set[str]) -> None:
    assert _restarted(OLD, new) == restarted
    same = [OLD, _new(sensor=list(reversed(OLD["sensor"])))]
    assert diff(Unresolved(OLD), Unresolved(new)).reconnect == (new not in same)


def test_one_and_true_are_two_values() -> None:
    one, true = ({**OLD, "alarm": [{**OLD["alarm"][0], "equal": value}]} for value in (1, True))
    assert _restarted(one, true) == {"air-1"}


def test_a_driver_that_was_edited_restarts_its_sensors_and_no_others() -> None:
    edited = replace(DUST, period_s=2.0)
    old, new = Unresolved(OLD, {"dust": DUST, "meter": METER}), Unresolved(OLD, {"dust": edited, "meter": METER})
    assert diff(old, new) == Changes(changed=frozenset({"air-1"}), reconnect=True)


def test_from_nothing_everything_starts() -> None:
    assert diff(None, Unresolved(OLD)) == Changes(frozenset(ALL), reconnect=True)


@pytest.mark.parametrize(
    ("new", "way"),
    [
        (OLD, False),
        (_new(broker={"url": "mqtts://new"}), True),
        (_new(publish={"max_rows": 10}), False),
        (_new(gateway={"id": "other"}), True),
        (_new(gateway={"name": "other"}), False),
    ],
)
def test_the_way_to_the_broker_is_its_settings_and_the_name_of_the_gateway(new: dict[str, Any], way: bool) -> None:
    assert diff(Unresolved(OLD), Unresolved(new)).way == way
