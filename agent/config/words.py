"""Types and values of the configuration, in a person's words."""

import re
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from agent.base.i18n import _
from agent.config.settings import Limit

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that no text of a configuration needs, and that would spoil a line of a log."""

NO_LIMIT = Limit()


def unwrap(hint: object, limit: Limit = NO_LIMIT) -> tuple[object, Limit]:
    """A type without its annotation, and its limit."""
    if get_origin(hint) is not Annotated:
        return hint, limit
    inner, *notes = get_args(hint)
    return inner, next((note for note in notes if isinstance(note, Limit)), limit)


def expected(hint: object, limit: Limit = NO_LIMIT) -> str:
    """What a value must be, in words."""
    hint, limit = unwrap(hint, limit)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _(" or ").join(expected(part) for part in get_args(hint) if part is not type(None))
    if origin is Literal:
        return _(" or ").join(shown(choice) for choice in get_args(hint))
    if limit.means:
        return _(limit.means)
    if hint in (int, float):
        return _range_words(_("an integer") if hint is int else _("a number"), limit)
    if hint is bool:
        return _("true or false")
    if hint is str:
        return _("a string in quotes")
    return _("a list") if origin is tuple else _("a table")


def shown(value: object) -> str:
    """A value of the file as a person wrote it, short, and without a password that stands in a URL."""
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


def _range_words(kind: str, limit: Limit) -> str:
    if limit.min is not None and limit.max is not None:
        return _("{kind} from {low} to {high}").format(kind=kind, low=shown(limit.min), high=shown(limit.max))
    if limit.min is not None:
        return _("{kind}, at least {low}").format(kind=kind, low=shown(limit.min))
    return kind
