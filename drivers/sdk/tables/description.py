"""Descriptions of tables as data, for the JSON Schemas and the key tables of the docs. The agent does not load this."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, is_dataclass
from types import UnionType
from typing import Union, get_args, get_origin

from drivers.sdk.tables.reader import keys_of
from drivers.sdk.tables.words import expected, unwrap

_UNIONS = (Union, UnionType)

KeyTexts = Mapping[type, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Key:
    """A key in words. ``path``: as in ``frame.check.sum``; ``default``: empty for a required key."""

    path: str
    value: str
    default: str
    text: str


def text_of(texts: KeyTexts, kind: type, key: str) -> str:
    """Return what a key means. A description has the texts of its base classes. Raises KeyError."""
    for owner in kind.__mro__:
        if key in texts.get(owner, {}):
            return texts[owner][key]
    raise KeyError(f"{kind.__name__}.{key}")


def nested(hint: object) -> Iterator[tuple[str, type]]:
    """Yield the descriptions inside of a type, with what stands between the key and theirs."""
    hint, _unused = unwrap(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        yield "", hint
    elif get_origin(hint) is not None and hint is not None:
        is_mapping = get_origin(hint) not in (tuple, *_UNIONS) and len(get_args(hint)) == 2
        for part in get_args(hint):
            for between, kind in nested(part):
                yield (".NAME" if is_mapping else "") + between, kind


def keys(kind: type, texts: KeyTexts, prefix: str = "", without: Collection[type] = ()) -> Iterator[Key]:
    """Yield the keys of a description and of those inside of it. ``without``: descriptions that are shown elsewhere."""
    elsewhere = {key for other in without if issubclass(kind, other) for key in keys_of(other)}
    for key, item in keys_of(kind).items():
        if key in elsewhere:
            continue
        yield Key(prefix + key, expected(item.type), default_words(item), text_of(texts, kind, key))
        for between, inner in nested(item.type):
            if inner not in without:
                yield from keys(inner, texts, f"{prefix}{key}{between}.", without)


def default_words(item: Field[object]) -> str:
    """Return a default as a person writes it; "none" where there is no value, nothing for a required key."""
    value = item.default
    if value is MISSING:
        return "" if item.default_factory is MISSING else "none"
    if value is None or value == "" or value == () or is_dataclass(value):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def markdown(rows: Iterator[Key]) -> str:
    """Return a table of Markdown."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        lines.append(f"| `{row.path}` | {row.value} | {row.default or 'required'} | {row.text} |")
    return "\n".join(lines)
