"""Strict JSON for signed documents: unambiguous, and parsed with bounded work whatever the bytes."""

import json
import re
from math import isfinite
from typing import NoReturn

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _

MAX_BYTES = 65_536
"""Maximum size of a signed document, and of the envelope around it."""
MAX_DEPTH = 16
"""Maximum nesting of arrays and objects."""
_MAX_DIGITS = 19
_BRACKET = re.compile(rb"[\[\]{}]")
_STRING = re.compile(rb'"(?:[^"\\]+|\\(?:.|\Z))*+(?:"|\Z)', re.DOTALL)
"""An unclosed string runs to the end; the possessive match needs one pass over any bytes."""


def loads(raw: bytes, max_bytes: int, path: str = "") -> object:
    """Parse UTF-8 JSON. Raises :class:`RejectedError` with ``path``: ``too_large``, ``malformed`` or
    ``duplicate_keys``.

    Also refused is what parsers interpret differently: a byte order mark, duplicate keys, NaN and infinite numbers,
    integers beyond 64 bits, lone surrogates.
    """
    if len(raw) > max_bytes:
        raise RejectedError(
            Rejection.TOO_LARGE,
            _("{count} bytes; the limit is {limit}").format(count=len(raw), limit=max_bytes),
            path,
        )
    try:
        text = raw.decode()
        _check_depth(raw)
        # Python's parser alone would recurse into a hundred thousand brackets.
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
        _check_text(value)
    except _DuplicateKey as error:
        message = _('the key "{key}" occurs twice').format(key=str(error)[:64])
        raise RejectedError(Rejection.DUPLICATE_KEYS, message, path) from error
    except ValueError as error:
        raise RejectedError(
            Rejection.MALFORMED, _("not valid JSON: {why}").format(why=str(error)[:100]), path
        ) from error
    return value


class _DuplicateKey(ValueError):
    """An object contains a key twice."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        raise _DuplicateKey(next(key for key, _unused in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return table


def _constant(word: str) -> NoReturn:
    raise ValueError(word)


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(text[:20])
    return value


def _int(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise ValueError(text[:20])
    return int(text)


def _check_depth(raw: bytes) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"depth {depth}")


def _check_text(value: object) -> None:
    """Refuse lone surrogates, which JSON can escape but no encoder can write."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
