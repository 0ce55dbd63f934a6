"""Arguments of commands: parsed strictly, by the type that each command declares."""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

_MAX_NAME_CHARS = 64
_MAX_INTEGER = 2**53


class ArgumentType(Enum):
    """How an argument is written in JSON, and what it becomes."""

    TEXT = "text"
    """A string that is not empty."""
    NAME = "name"
    """A printable string of at most 64 characters, short enough to be repeated in a reply."""
    INTEGER = "integer"
    """0 to 2^53."""
    SWITCH = "switch"
    """0 or 1, false or true; becomes a ``bool``."""
    ENVELOPE = "envelope"
    """A signed envelope, as an object or as a string of JSON; becomes ``bytes``."""


def parse_arguments(types: Mapping[str, ArgumentType], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declared arguments; others are ignored. Raises :class:`ValueError` with one sentence."""
    return {name: _PARSERS[kind](name, values.get(name)) for name, kind in types.items()}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing or not a string")
    return value


def _name(name: str, value: object) -> str:
    text = _text(name, value)
    if len(text) > _MAX_NAME_CHARS or not text.isprintable():
        raise ValueError(f"{name} is not a valid name")
    return text


def _integer(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INTEGER:
        raise ValueError(f"{name} is missing or not an integer from 0 to 2^53")
    return value


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, int) or value not in (0, 1):
        raise ValueError(f"{name} must be 0 or 1")
    return bool(value)


def _envelope(name: str, value: object) -> bytes:
    if isinstance(value, str) and value:
        return value.encode()
    if isinstance(value, dict):
        return json.dumps(value).encode()
    raise ValueError(f"{name} is missing or not an envelope")


_PARSERS: Mapping[ArgumentType, Callable[[str, object], object]] = {
    ArgumentType.TEXT: _text,
    ArgumentType.NAME: _name,
    ArgumentType.INTEGER: _integer,
    ArgumentType.SWITCH: _switch,
    ArgumentType.ENVELOPE: _envelope,
}
