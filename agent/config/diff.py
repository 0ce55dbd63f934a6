"""What changes when a configuration replaces another: the single rule for plan, runtime and probation. Pure.

The merged tables (:mod:`agent.config.layers`) are compared, not the settings: a driver that is built from a sensor's
own tables cannot be compared in any other form.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.config.layers import Tables
from drivers.sdk.contract import Driver


class Configuration(Protocol):
    """What is compared. ``installed``: the drivers of the catalog, by name; a driver that is missing on both sides has
    not changed."""

    @property
    def tables(self) -> Tables: ...
    @property
    def installed(self) -> Mapping[str, Driver]: ...


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Tables alone, for a maintainer, who does not know the drivers on the gateway."""

    tables: Tables
    installed: Mapping[str, Driver] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """A changed value. ``old``: ``None`` if it was added; ``new``: ``None`` if it was removed. Neither TOML nor the
    envelope has a null."""

    path: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of the sensors that start for the first time (``added``), stop (``removed``) and restart (``changed``).

    ``reconnect``: whether the uplink restarts; ``way``: whether anything changed that decides if a broker accepts
    the gateway.
    """

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    reconnect: bool = False
    way: bool = False

    @property
    def started(self) -> frozenset[str]:
        """The sensors of the new configuration that start, for the first time or again."""
        return self.added | self.changed


def diff(old: Configuration | None, new: Configuration) -> Changes:
    """Return what restarts when ``new`` replaces ``old``. ``old``: ``None`` if nothing runs yet."""
    after = _fingerprints(new)
    if old is None:
        return Changes(frozenset(after), reconnect=True)
    before = _fingerprints(old)
    changed = frozenset(name for name in before.keys() & after.keys() if before[name] != after[name])
    # The uplink depends on almost everything: the description of the gateway, its topics, its batches.
    reconnect = before != after or _canonical(_by_id(old.tables)) != _canonical(_by_id(new.tables))
    return Changes(
        frozenset(after.keys() - before.keys()),
        frozenset(before.keys() - after.keys()),
        changed,
        reconnect,
        _way(old.tables) != _way(new.tables),
    )


def differences(old: Tables, new: Tables) -> tuple[Difference, ...]:
    """Return every value that differs; an added or removed sensor, bus or alarm is a single difference."""
    return tuple(_differences(_by_id(old), _by_id(new), ""))


def _fingerprints(configuration: Configuration) -> dict[str, tuple[str, Driver | None]]:
    """Return by sensor id everything that decides how the sensor runs: its own keys, its bus, its alarms, the privacy
    settings, whether it is the clock, and the installed driver. An output does not restart because of the alarms that
    switch it."""
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
    """Return a text that is equal for equal values: 1 and 1.0 are equal, 1 and true are not."""
    return json.dumps(_plain(value), default=str, sort_keys=True)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _entries(tables: Tables, name: str) -> Mapping[str, Mapping[str, object]]:
    """Return the tables of an array, by id."""
    entries = tables.get(name)
    return entries if isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values()) else {}


def _by_id(tables: Tables) -> dict[str, object]:
    """Return the tables, with each array of named tables as a table by name."""
    return {name: _named(value) for name, value in tables.items()}


def _named(value: object) -> object:
    if isinstance(value, list) and value and all(isinstance(entry, dict) and "id" in entry for entry in value):
        return {str(entry["id"]): entry for entry in value}
    return value


def _differences(old: Tables, new: Tables, path: str) -> Iterator[Difference]:
    for key in dict.fromkeys((*old, *new)):
        where = f"{path}.{key}" if path else key
        before, after = old.get(key), new.get(key)
        if not path:  # if a whole table was added or removed, or all sensors: name what it contains
            before, after = _or_empty(before, after), _or_empty(after, before)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, where)
        elif before != after:
            yield Difference(where, before, after)


def _or_empty(value: object, other: object) -> object:
    return {} if not value and isinstance(other, dict) else value
