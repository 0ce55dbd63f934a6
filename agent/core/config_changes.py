"""What differs between two configurations, and which sensors have to be built anew for it. Pure.

Compared are tables, as they were merged (:mod:`agent.core.remote_config`): a driver that is made of a sensor's own
tables has no other form in which it could be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.core.remote_config import Tables


@dataclass(frozen=True, slots=True)
class Change:
    """``old``: ``None`` where it is new; ``new``: ``None`` where it is gone. TOML and the envelope know no null."""

    path: str
    old: object
    new: object


def changes(old: Tables, new: Tables) -> tuple[Change, ...]:
    """Every difference; a sensor, bus or alarm that is new or gone is one."""
    return tuple(_differences(_by_id(old), _by_id(new), ""))


def to_rebuild(old: Tables, new: Tables) -> frozenset[str]:
    """The sensors of ``new`` that cannot go on as they are: they, their bus, their alarms or an alarm that switches
    them changed."""
    before, after = _by_id(old), _by_id(new)
    sensors = _entries(after, "sensor")
    touched = {name for name, entry in sensors.items() if _entries(before, "sensor").get(name) != entry}
    buses = _changed_entries(before, after, "bus")
    touched |= {name for name, entry in sensors.items() if isinstance(entry, dict) and entry.get("bus") in buses}
    for name in _changed_entries(before, after, "alarm"):
        for alarm in (_entries(before, "alarm").get(name), _entries(after, "alarm").get(name)):
            if isinstance(alarm, dict):
                touched |= {str(alarm.get("sensor")), str(alarm.get("output"))}
    return frozenset(touched & sensors.keys())


def summary(old: Tables, new: Tables) -> dict[str, list[str]]:
    """What a change would do, for programs: ids of sensors that are ``added``, ``removed`` or ``changed`` (begin anew),
    and ``paths``, everything else that differs."""
    before, after = _entries(_by_id(old), "sensor"), _entries(_by_id(new), "sensor")
    added, removed = after.keys() - before.keys(), before.keys() - after.keys()
    return {
        "added": sorted(added), "removed": sorted(removed), "changed": sorted(to_rebuild(old, new) - added),
        "paths": [one.path for one in changes(old, new) if not one.path.startswith("sensor.")],
    }  # fmt: skip


def _changed_entries(before: Tables, after: Tables, table: str) -> set[str]:
    old, new = _entries(before, table), _entries(after, table)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _entries(tables: Tables, name: str) -> Mapping[str, object]:
    entries = tables.get(name, {})
    return entries if isinstance(entries, dict) else {}


def _by_id(tables: Tables) -> dict[str, object]:
    """The tables, with arrays of named tables as tables by name."""
    return {name: _named(value) for name, value in tables.items()}


def _named(value: object) -> object:
    if isinstance(value, list) and value and all(isinstance(one, dict) and "id" in one for one in value):
        return {str(one["id"]): one for one in value}
    return value


def _differences(old: Tables, new: Tables, path: str) -> Iterator[Change]:
    for key in dict.fromkeys((*old, *new)):
        where = f"{path}.{key}" if path else key
        before, after = old.get(key), new.get(key)
        if not path:  # a table, or all sensors, that is new or gone: name what is in it
            before, after = _or_empty(before, after), _or_empty(after, before)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, where)
        elif before != after:
            yield Change(where, before, after)


def _or_empty(value: object, other: object) -> object:
    return {} if not value and isinstance(other, dict) else value
