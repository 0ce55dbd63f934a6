"""Makes dataclasses of TOML tables, by the annotations of their fields.

Each wrong value is reported with its path and what would be right, and is replaced by the default, so that one reading
finds every mistake. The result of a reading with errors serves further checks only.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import Literal, TypeVar, Union, cast, get_args, get_origin

from drivers.sdk.contract import Option, Value
from drivers.sdk.messages import _
from drivers.sdk.tables.limits import NO_LIMIT, Limit
from drivers.sdk.tables.problem import Report, join
from drivers.sdk.tables.scalars import WRONG, is_number, parse_choice, parse_number, parse_text, wrong_type
from drivers.sdk.tables.words import expected, shown, unwrap

T = TypeVar("T")

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_OPTION_TYPES: Mapping[str, object] = {"int": int, "float": float, "str": str, "bool": bool, "line": str | int}
_EMPTY: Mapping[object, object] = {str: "", int: 0, float: 0.0, bool: False}


def keys_of(kind: type) -> dict[str, Field[object]]:
    """Return the fields of a description by the key that sets them in a file.

    A key that is a word of Python, such as ``from``, belongs to a field with an underscore behind its name. A field
    with ``metadata={"in_file": False}`` has no key.
    """
    return {item.name.rstrip("_"): item for item in fields(kind) if item.metadata.get("in_file", True)}


def labels(table: str, names: Sequence[object]) -> list[str]:
    """Return the paths of the tables of an array: ``sensor.air-1``, or ``sensor[0]`` without a good id."""
    times = Counter(name for name in names if isinstance(name, str) and _ID.fullmatch(name))
    return [
        f"{table}.{name}" if isinstance(name, str) and times[name] == 1 else f"{table}[{at}]"
        for at, name in enumerate(names)
    ]


def parse_table(
    kind: type[T], table: Mapping[str, object], path: str, report: Report, others: Collection[str] = ()
) -> T:
    """Make a ``kind`` of ``table``. Report unknown and missing keys and wrong values.

    ``others``: keys that belong to another description of the same table.
    """
    known = keys_of(kind)
    for key in table:
        if key not in known and key not in others:
            report.unknown_key(path, key, (*known, *others))
    values: dict[str, object] = {}
    for key, item in known.items():
        where = join(path, key)
        if key in table:
            value = parse_value(item.type, table[key], where, report)
            if value is not WRONG:
                values[item.name] = value
                continue
        if item.default is MISSING and item.default_factory is MISSING:
            values[item.name] = _stand_in(item.type, where, Report() if key in table else report)
    return cast(Callable[..., T], kind)(**values)


def parse_value(hint: object, value: object, path: str, report: Report, limit: Limit = NO_LIMIT) -> object:
    """Return the value as ``hint`` wants it, or report and return :data:`WRONG`. ``limit``: if ``hint`` has none."""
    hint, limit = unwrap(hint, limit)
    origin = get_origin(hint)
    if origin in (Union, UnionType) and (part := _matching(hint, value)) is not None:
        return parse_value(part, value, path, report, limit)
    if origin is Literal or limit.choices:
        return parse_choice(limit.choices or get_args(hint), value, path, report, limit)
    if isinstance(hint, type) and is_dataclass(hint):
        if isinstance(value, dict):
            return parse_table(hint, value, path, report)
    elif origin is tuple:
        if isinstance(value, list):
            return _parse_list(hint, limit, value, path, report)
    elif origin is not None and origin not in (Union, UnionType):
        if isinstance(value, dict):
            return _parse_mapping(hint, limit, value, path, report)
    elif hint is str and isinstance(value, str):
        return parse_text(limit, value, path, report)
    elif hint is bool and isinstance(value, bool):
        return value
    elif hint in (int, float) and is_number(value) and not (hint is int and isinstance(value, float)):
        return parse_number(hint, limit, cast(float, value), path, report)
    return wrong_type(value, expected(hint, limit), path, report)


def parse_option(option: Option, value: object, path: str, report: Report) -> Value:
    """Return a driver's own key, checked against its declaration; the default after a report."""
    limit = Limit(min=option.min, max=option.max, choices=option.choices)
    found = parse_value(_OPTION_TYPES[option.type], value, path, report, limit)
    return option.default if found is WRONG else cast(Value, found)


def _matching(union: object, value: object) -> object | None:
    """Return the part of a union that fits the type of the value; ``None`` where there is none."""
    return next((part for part in get_args(union) if _fits(part, value)), None)


def _fits(hint: object, value: object) -> bool:
    inner, limit = unwrap(hint)
    kind = get_origin(inner) or inner
    if kind in (Union, UnionType):
        return _matching(inner, value) is not None
    if kind is tuple:
        return isinstance(value, list)
    if kind is Literal or limit.choices or kind is type(value) or (kind is float and is_number(value)):
        return True
    return isinstance(value, dict) and kind not in (str, int, float, bool, type(None))


def _stand_in(hint: object, path: str, report: Report) -> object:
    """Return a harmless value for a required key; report the key, or those that a table requires."""
    inner, limit = unwrap(hint)
    if isinstance(inner, type) and is_dataclass(inner) and not report.is_meant(path):
        return parse_table(inner, {}, path, report)
    report.missing_key(path, expected(hint))
    origin = get_origin(inner)
    if isinstance(inner, type) and is_dataclass(inner):
        return parse_table(inner, {}, path, Report())
    if origin in (Union, UnionType):
        return _stand_in(get_args(inner)[0], path, Report())
    if origin is Literal or limit.choices:
        return (limit.choices or get_args(inner))[0]
    if origin is not None:
        return () if origin is tuple else {}
    return _EMPTY[inner]


def _count_is_wrong(limit: Limit, count: int, path: str, report: Report, hint: str) -> bool:
    if (limit.min or 0) <= count and (limit.max is None or count <= limit.max):
        return False
    message = _("this list is empty") if not count else _("{count} entries are not allowed here").format(count=count)
    report.error(path, "length", message, hint)
    return True


def _parse_list(hint: object, limit: Limit, value: Sequence[object], path: str, report: Report) -> object:
    """Return a tuple. Of an array of tables, either every entry is there or, if one is no table, none."""
    if _count_is_wrong(limit, len(value), path, report, expected(hint, limit)):
        return WRONG
    entry, _unused = get_args(hint)
    kind, _unused = unwrap(entry)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        items = [parse_value(entry, item, f"{path}[{at}]", report) for at, item in enumerate(value)]
        return tuple(item for item in items if item is not WRONG)
    tables = [item for item in value if isinstance(item, dict)]
    if len(tables) < len(value):
        message = _("{value} has the wrong type").format(value=shown(value))
        report.error(path, "type", message, _("start each entry with [[{table}]]").format(table=path))
        return WRONG
    has_id = "id" in keys_of(kind)
    names = labels(path, [table.get("id") if has_id else None for table in tables])
    return tuple(parse_table(kind, table, name, report) for name, table in zip(names, tables, strict=True))


def _parse_mapping(hint: object, limit: Limit, value: Mapping[str, object], path: str, report: Report) -> object:
    if _count_is_wrong(limit, len(value), path, report, expected(hint, limit)):
        return WRONG
    key_hint, value_hint = get_args(hint)
    found: dict[object, object] = {}
    for key, item in value.items():
        where = f"{path}.{key[:64]}"
        good_key = parse_value(key_hint, key, where, report)
        good = parse_value(value_hint, item, where, report)
        if good_key is not WRONG and good is not WRONG:
            found[good_key] = good
    return found
