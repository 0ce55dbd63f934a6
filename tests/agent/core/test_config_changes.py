"""What differs between two configurations, and which sensors begin anew for it."""

from typing import Any

import pytest

from agent.core.config_changes import Change, changes, summary, to_rebuild

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
        (_new(broker={"url": "mqtts://new"}), [Change("broker.url", "mqtts://old", "mqtts://new")]),
        (_new(publish={"max_rows": 10}), [Change("publish.max_rows", None, 10)]),
        (_new(sensor=_with("air-1", interval_s=60)), [Change("sensor.air-1.interval_s", 10, 60)]),
        (_new(sensor=OLD["sensor"][1:]), [Change("sensor.mains", OLD["sensor"][0], None)]),
        (_new(alarm=None), [Change("alarm.air-bad", OLD["alarm"][0], None)]),
        (_new(alarm=[]), [Change("alarm.air-bad", OLD["alarm"][0], None)]),
        (_new(sensor=_with("tank", frame={"sync": "BB"})), [Change("sensor.tank.frame.sync", "AA", "BB")]),
    ],
)
def test_each_difference_is_named_once(new: dict[str, Any], expected: list[Change]) -> None:
    assert list(changes(OLD, new)) == expected


@pytest.mark.parametrize(
    ("new", "rebuilt"),
    [
        (OLD, set()),
        (_new(sensor=list(reversed(OLD["sensor"]))), set()),
        (_new(broker={"url": "mqtts://new"}, publish={"encoding": "json"}), set()),
        (_new(sensor=_with("air-1", interval_s=60)), {"air-1"}),
        (_new(sensor=_with("tank", frame={"sync": "BB"})), {"tank"}),
        (_new(sensor=[*OLD["sensor"], {"id": "air-2", "driver": "dust"}]), {"air-2"}),
        (_new(sensor=OLD["sensor"][1:]), set()),
        (_new(bus=[{"id": "rs485-0", "port": "/dev/ttyUSB9"}]), {"mains"}),
        (_new(alarm=[{**OLD["alarm"][0], "above": 99}]), {"air-1", "siren-1"}),
        (_new(alarm=None), {"air-1", "siren-1"}),
        (_new(sensor=[]), set()),
    ],
)
def test_a_sensor_begins_anew_only_if_something_of_its_own_changed(new: dict[str, Any], rebuilt: set[str]) -> None:
    assert to_rebuild(OLD, new) == rebuilt


def test_from_nothing_everything_begins() -> None:
    assert to_rebuild({}, OLD) == ALL


def test_a_summary_names_sensors_once_and_the_rest_by_its_path() -> None:
    new = _new(
        bus=[{"id": "rs485-0", "port": "/dev/ttyUSB7"}],
        sensor=[one for one in OLD["sensor"] if one["id"] != "tank"] + [{"id": "new", "driver": "dust"}],
    )
    assert summary(OLD, new) == {
        "added": ["new"], "removed": ["tank"], "changed": ["mains"], "paths": ["bus.rs485-0.port"],
    }  # fmt: skip
    assert summary(OLD, OLD) == {"added": [], "removed": [], "changed": [], "paths": []}
