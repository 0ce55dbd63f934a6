"""What changes when one configuration replaces another: the only rule, for plan, runtime and probation. Pure.

Compared are the merged tables (:mod:`agent.config.layers`), not the settings made of them: a driver that is built
from a sensor's own tables has no other form in which it could be compared.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.config.layers import Tables
from drivers.sdk.contract import Driver


class Configuration(Protocol):
    """What is compared. ``installed``: by driver name, what the catalog has under it; a driver that is missing on both
    sides is the same."""

    @property
    def tables(self) -> Tables: ...
    @property
    def installed(self) -> Mapping[str, Driver]: ...


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Tables alone, where the drivers of the gateway are not known: at a maintainer's desk."""

    tables: Tables
    installed: Mapping[str, Driver] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value. ``old``: ``None`` where it is new; ``new``: ``None`` where it is gone. TOML and the envelope have no
    null."""

    path: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of the sensors that start for the first time (``added``), stop (``removed``) and restart (``changed``).

    ``reconnect``: whether the uplink restarts; ``way``: whether what decides if a broker accepts the gateway is
    another than before.
    """

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    reconnect: bool = False
    way: bool = False

    @property
    def started(self) -> frozenset[str]:
        """The sensors of the new configuration that start, again or for the first time."""
        return self.added | self.changed


def diff(old: Configuration | None, new: Configuration) -> Changes:
    """What restarts when ``new`` replaces ``old``; ``old`` ``None``: nothing runs yet."""
    after = _fingerprints(new)
    if old is None:
        return Changes(frozenset(after), reconnect=True)
    before = _fingerprints(old)
    changed = frozenset(name for name in before.keys() & after.keys() if before[name] != after[name])
    # The description of the gateway, its topics, its batches: there is little that the uplink does not carry.
    reconnect = before != after or _canonical(_by_id(old.tables)) != _canonical(_by_id(new.tables))
    return Changes(
        frozenset(after.keys() - before.keys()),
        frozenset(before.keys() - after.keys()),
        changed,
        reconnect,
        _way(old.tables) != _way(new.tables),
    )


def differences(old: Tables, new: Tables) -> tuple[Difference, ...]:
    """Every value that differs; a sensor, bus or alarm that is new or gone is one."""
    return tuple(_differences(_by_id(old), _by_id(new), ""))


def _fingerprints(configuration: Configuration) -> dict[str, tuple[str, Driver | None]]:
    """By sensor id: everything that decides how the sensor runs. Its own keys, its bus, its alarms, what holds for the
    privacy of all, whether it is the clock, and the driver as it is installed. An output does not restart for the
    alarms that switch it."""
    tables = _by_id(configuration.tables)
    buses, alarms, privacy = _entries(tables, "bus"), _entries(tables, "alarm"), tables.get("privacy", {})
    clock = tables.get("clock")
    source = clock.get("source") if isinstance(clock, dict) else None
    found: dict[str, tuple[str, Driver | None]] = {}
    for name, sensor in _entries(tables, "sensor").items():
        own = [alarm for alarm in alarms.values() if alarm.get("sensor") == name]
        text = _canonical([sensor, buses.get(str(sensor.get("bus"))), privacy, own, source == name])
        found[name] = text, configuration.installed.get(str(sensor.get("driver")))
    return found


def _way(tables: Tables) -> str:
    gateway = tables.get("gateway")
    return _canonical([tables.get("broker"), gateway.get("id") if isinstance(gateway, dict) else None])


def _canonical(value: object) -> str:
    """A text that is the same for the same values: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_plain(value), default=str, sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _entries(tables: Tables, name: str) -> Mapping[str, Mapping[str, object]]:
    """The tables of an array, by id."""
    entries = tables.get(name)
    return entries if isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values()) else {}


def _by_id(tables: Tables) -> dict[str, object]:
    """The tables, with arrays of named tables as tables by name."""
    return {name: _named(value) for name, value in tables.items()}


def _named(value: object) -> object:
    if isinstance(value, list) and value and all(isinstance(entry, dict) and "id" in entry for entry in value):
        return {str(entry["id"]): entry for entry in value}
    return value


def _differences(old: Tables, new: Tables, path: str) -> Iterator[Difference]:
    for key in dict.fromkeys((*old, *new)):
        where = f"{path}.{key}" if path else key
        before, after = old.get(key), new.get(key)
        if not path:  # a table, or all sensors, that is new or gone: name what is in it
            before, after = _or_empty(before, after), _or_empty(after, before)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, where)
        elif before != after:
            yield Difference(where, before, after)


def _or_empty(value: object, other: object) -> object:
    return {} if not value and isinstance(other, dict) else value
