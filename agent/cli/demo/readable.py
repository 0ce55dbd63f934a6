"""Formats values for people: rounded, with familiar unit signs."""

import re
from collections.abc import Iterable, Mapping

from agent.base.display import one_line
from agent.base.i18n import _
from agent.fleet.subscriber import Arrival, Subscriber

_SIGNS = {"Cel": "°C", "ug/m3": "µg/m³", "lat": "°", "lon": "°", "deg": "°", "count": ""}
"""Signs for units whose SenML name is not in common use. Other units stay as they are."""
_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_MAX_CHARS = 40
_EVENT_KEYS = frozenset({"t", "q", "ev", "sev"})


def readable_value(value: object, unit: str) -> str:
    """Return a value with its unit."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if not isinstance(value, int | float):
        return one_line(str(value), _MAX_CHARS)
    if unit == "B":
        for name, size in _BYTES:
            if abs(value) >= size:
                return f"{value / size:.1f} {name}"
    digits = 5 if unit in ("lat", "lon") else 2
    sign = _SIGNS.get(unit, unit)
    number = f"{round(value, digits):g}" if digits == 2 and abs(value) < 1e5 else f"{value:.{digits}f}"
    return f"{number}{'' if sign == '°' else ' '}{sign}".rstrip()


def readable_row(arrival: Arrival, subscriber: Subscriber, fields: Iterable[str]) -> str:
    """Return these fields of a measurement, or an event with its details. ``subscriber`` knows the units."""
    row: Mapping[str, object] = arrival.fields
    if arrival.kind == "event":
        details = [f"{key} {one_line(str(value), _MAX_CHARS)}" for key, value in row.items() if key not in _EVENT_KEYS]
        return ", ".join([one_line(str(row.get("ev")), _MAX_CHARS), *details])
    words = []
    for name in fields:
        if name in row:
            unit = subscriber.unit(arrival.stream_id.gateway, arrival.sensor, name)
            words.append(f"{_label(name)} {readable_value(row[name], unit)}")
    return ", ".join(words)


def _label(name: str) -> str:
    """Return a field's name for people: ``pm2_5`` becomes "pm2.5", ``disk_free`` becomes "disk free"."""
    return re.sub(r"(?<=[0-9])_(?=[0-9])", ".", name).replace("_", " ")
