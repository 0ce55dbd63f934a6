"""Types and values of tables in words for people."""

import re
from collections.abc import Iterable
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from drivers.sdk.messages import _
from drivers.sdk.tables.limits import NO_LIMIT, Limit

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that would spoil a line of a log."""


def unwrap(hint: object, limit: Limit = NO_LIMIT) -> tuple[object, Limit]:
    """Return a type without its annotation, and its limit."""
    if get_origin(hint) is not Annotated:
        return hint, limit
    inner, *notes = get_args(hint)
    return inner, next((note for note in notes if isinstance(note, Limit)), limit)


def expected(hint: object, limit: Limit = NO_LIMIT) -> str:
    """Return in words what a value must be."""
    hint, limit = unwrap(hint, limit)
    origin = get_origin(hint)
    if limit.means:
        return _(limit.means)
    if limit.choices:
        return listed_choices(limit.choices)
    if origin in (Union, UnionType):
        return _(" or ").join(expected(part) for part in get_args(hint) if part is not type(None))
    if origin is Literal:
        return listed_choices(get_args(hint))
    if hint in (int, float):
        return _range_words(_("an integer") if hint is int else _("a number"), limit)
    if hint is bool:
        return _("true or false")
    if hint is str:
        return _("a string in quotes")
    kind = _("a table")
    if origin is tuple:
        entry, _unused = unwrap(get_args(hint)[0])
        kind = _("a list of tables") if is_dataclass(entry) else _("a list")
    return _count_words(kind, limit)


def listed_choices(choices: Iterable[object]) -> str:
    """Return ``"a" or "b"``; an empty string is left out, because a missing key means the same."""
    return _(" or ").join(shown(choice) for choice in choices if choice != "")


def shown(value: object) -> str:
    """Return a value of a file as a person wrote it, shortened, and without a password that is part of a URL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = re.sub(r"://.*@", "://...@", value, flags=re.DOTALL)
        text = CONTROL.sub("?", text if len(text) <= 60 else text[:57] + "...")
        return f'"{text}"'
    if isinstance(value, int) and value.bit_length() > 64:
        return _("a {bits}-bit integer").format(bits=value.bit_length())
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, dict | list):
        return _("a table") if isinstance(value, dict) else _("a list")
    return "null" if value is None else _("a date or time")


def _count_words(kind: str, limit: Limit) -> str:
    if limit.max is None:
        return kind
    if limit.min is None:
        return _("{kind} with at most {high} entries").format(kind=kind, high=shown(limit.max))
    return _("{kind} with {low} to {high} entries").format(kind=kind, low=shown(limit.min), high=shown(limit.max))


def _range_words(kind: str, limit: Limit) -> str:
    if limit.above is not None and limit.max is not None:
        return _("{kind} greater than {low}, at most {high}").format(
            kind=kind, low=shown(limit.above), high=shown(limit.max)
        )
    if limit.above is not None:
        return _("{kind} greater than {low}").format(kind=kind, low=shown(limit.above))
    if limit.min is not None and limit.max is not None:
        return _("{kind} from {low} to {high}").format(kind=kind, low=shown(limit.min), high=shown(limit.max))
    if limit.min is not None:
        return _("{kind}, at least {low}").format(kind=kind, low=shown(limit.min))
    return kind
