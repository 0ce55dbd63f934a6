"""Tables of TOML become the dataclasses of :mod:`agent.config.settings`, by their annotations.

Whatever is wrong is reported with its path and what would be right, and replaced by the default, so that
one reading finds every mistake. The result of a reading with errors is good for further checks only.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from math import isfinite
from types import UnionType
from typing import Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from agent.base.i18n import _
from agent.config.problems import Report
from agent.config.settings import Limit
from agent.config.words import CONTROL, NO_LIMIT, expected, shown, unwrap
from drivers.sdk.contract import Option, Value

T = TypeVar("T")

WRONG = object()
"""Stands for a value that was refused, and reported."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_OPTION_TYPES: Mapping[str, object] = {"int": int, "float": float, "str": str, "bool": bool, "line": str | int}


def keys_of(kind: type) -> dict[str, Field[object]]:
    """The keys of a table of the file, by name (a dataclass may have fields that no file can set)."""
    return {item.name: item for item in fields(kind) if item.metadata.get("in_file", True)}


def labels(table: str, names: Sequence[object]) -> list[str]:
    """The paths of an array's tables: ``sensor.air-1``, or ``sensor[0]`` without a good id."""
    times = Counter(name for name in names if isinstance(name, str) and _NAME.fullmatch(name))
    return [
        f"{table}.{name}" if isinstance(name, str) and times[name] == 1 else f"{table}[{at}]"
        for at, name in enumerate(names)
    ]


def read_table(kind: type[T], table: Mapping[str, object], path: str, report: Report) -> T:
    """Make a ``kind`` of ``table``; unknown and missing keys and refused values are reported."""
    known = keys_of(kind)
    for key in table:
        if key not in known:
            unknown_key(key, known, path, report)
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, object] = {}
    for name, item in known.items():
        if name in table:
            value = read_value(hints[name], table[name], _join(path, name), report)
            if value is not WRONG:
                values[name] = value
                continue
        if item.default is not MISSING or item.default_factory is not MISSING:
            continue
        values[name] = _absent(hints[name], _join(path, name), report if name not in table else Report())
    return cast(Callable[..., T], kind)(**values)


def read_value(hint: object, value: object, path: str, report: Report, limit: Limit = NO_LIMIT) -> object:
    """The value as ``hint`` wants it, or :data:`WRONG` after a report. ``limit``: if ``hint`` has none."""
    hint, limit = unwrap(hint, limit)
    origin = get_origin(hint)
    if origin in (Union, UnionType) and (part := _matching(hint, value)) is not None:
        return read_value(part, value, path, report)
    if origin is Literal:
        return _read_choice(hint, value, path, report)
    if isinstance(hint, type) and is_dataclass(hint):
        if isinstance(value, dict):
            return read_table(hint, value, path, report)
    elif origin is tuple:
        if isinstance(value, list):
            return _read_list(hint, value, path, report)
    elif origin is not None:
        if isinstance(value, dict):
            return _read_mapping(hint, value, path, report)
    elif hint is str and isinstance(value, str):
        return _read_text(limit, value, path, report)
    elif hint is bool and isinstance(value, bool):
        return value
    elif hint in (int, float) and _is_number(value) and not (hint is int and isinstance(value, float)):
        return _read_number(hint, limit, cast(float, value), path, report)
    message = _("{value} has the wrong type").format(value=shown(value))
    report.error(path, "type", message, expected(hint, limit))
    return WRONG


def read_option(option: Option, value: object, path: str, report: Report) -> Value:
    """A driver's own key, checked against its declaration; the default after a report."""
    limit = Limit(min=option.min, max=option.max)
    if option.choices and value not in option.choices:
        message = _("{value} is not one of {choices}").format(value=shown(value), choices=", ".join(option.choices))
        near = report.near(value, option.choices) if isinstance(value, str) else ""
        report.error(path, "choice", message, near)
        return option.default
    found = read_value(_OPTION_TYPES[option.type], value, path, report, limit)
    return option.default if found is WRONG else cast(Value, found)


def unknown_key(key: str, known: Iterable[str], path: str, report: Report) -> None:
    """Report a key that means nothing at this place, with the one that was perhaps meant."""
    near = report.near(key, known, _("known keys: {keys}").format(keys=", ".join(sorted(known))))
    report.error(_join(path, key[:64]), "unknown_key", _("unknown key"), near)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _matching(union: object, value: object) -> object | None:
    """The part of a union that the value's own type speaks for; ``None`` where there is none."""
    for part in get_args(union):
        inner, _unused = unwrap(part)
        kind = get_origin(inner) or inner
        if (kind is tuple and isinstance(value, list)) or kind is type(value):
            return cast(object, part)
        if get_origin(inner) is Literal or (kind is float and _is_number(value)):
            return cast(object, part)
    return None


def _absent(hint: object, path: str, report: Report) -> object:
    """A stand-in for a key that must be there: a table reports its own missing keys."""
    inner, _unused = unwrap(hint)
    if isinstance(inner, type) and is_dataclass(inner):
        return read_table(inner, {}, path, report)
    report.error(path, "missing", _("missing key"), expected(hint))
    return ""


def _read_choice(hint: object, value: object, path: str, report: Report) -> object:
    choices = get_args(hint)
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return value
    near = ""
    if isinstance(value, str):
        near = report.near(value, [choice for choice in choices if isinstance(choice, str)])
    message = _("{value} is not one of {choices}").format(value=shown(value), choices=expected(hint))
    report.error(path, "choice", message, near)
    return WRONG


def _read_text(limit: Limit, value: str, path: str, report: Report) -> object:
    longest = 65_536 if limit.lines else 1024
    if len(value) > longest:
        message = _("this text is too long")
        report.error(path, "length", message, _("at most {count} characters").format(count=longest))
        return WRONG
    if CONTROL.search(value.replace("\n", "").replace("\r", "") if limit.lines else value):
        report.error(path, "pattern", _("{value} contains a control character").format(value=shown(value)))
        return WRONG
    if limit.pattern and re.fullmatch(limit.pattern, value) is None:
        message = _("{value} is not allowed here").format(value=shown(value))
        report.error(path, "pattern", message, expected(str, limit))
        return WRONG
    return value


def _read_number(hint: object, limit: Limit, value: float, path: str, report: Report) -> object:
    if isinstance(value, float) and not isfinite(value):
        message = _("{value} is not a finite number").format(value=shown(value))
        report.error(path, "not_finite", message, expected(hint, limit))
        return WRONG
    too_low = limit.min is not None and value < limit.min
    too_high = limit.max is not None and value > limit.max
    if too_low or too_high or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        message = _("{value} is out of range").format(value=shown(value))
        report.error(path, "range", message, expected(hint, limit))
        return WRONG
    return float(value) if hint is float else value


def _read_list(hint: object, value: Sequence[object], path: str, report: Report) -> object:
    """A tuple; of the entries of an array of tables either all are there or, if one is no table, none."""
    entry, _unused = get_args(hint)
    kind, _unused = unwrap(entry)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        items = [read_value(entry, item, f"{path}[{at}]", report) for at, item in enumerate(value)]
        return tuple(item for item in items if item is not WRONG)
    tables = [item for item in value if isinstance(item, dict)]
    if len(tables) < len(value):
        message = _("{value} has the wrong type").format(value=shown(value))
        report.error(path, "type", message, _("start each entry with [[{table}]]").format(table=path))
        return WRONG
    names = labels(path, [table.get("id") for table in tables])
    return tuple(read_table(kind, table, name, report) for name, table in zip(names, tables, strict=True))


def _read_mapping(hint: object, value: Mapping[str, object], path: str, report: Report) -> object:
    key_hint, value_hint = get_args(hint)
    found: dict[object, object] = {}
    for key, item in value.items():
        where = f"{path}.{key[:64]}"
        good_key = read_value(key_hint, key, where, report)
        good = read_value(value_hint, item, where, report)
        if good_key is not WRONG and good is not WRONG:
            found[good_key] = good
    return found
