"""docs/configuration.md has every key, with what it may be and its default, and no other."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from agent.config.rules.pending import PENDING
from agent.config.settings import Config
from drivers.sdk.tables.reader import keys_of
from drivers.sdk.tables.words import expected, unwrap

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")


def _tables() -> Iterator[tuple[str, type]]:
    for name, hint in get_type_hints(Config, include_extras=True).items():
        kind, _ = unwrap(hint)
        inner = kind if isinstance(kind, type) and not get_args(kind) else get_args(kind)[0]
        yield name, inner


def _default(item: Field[object]) -> str:
    value = item.default
    if value is item.default_factory is MISSING:
        return "must be given"
    if value is None or value == "" or value == () or value is MISSING:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize(("name", "kind"), list(_tables()))
def test_a_table_is_documented_key_by_key(name: str, kind: type) -> None:
    section = re.split(rf"^## {name}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*) \|$", section, flags=re.MULTILINE)
    hints = get_type_hints(kind, include_extras=True)
    assert [(key, value, default) for key, value, default, _ in rows] == [
        (key, expected(hints[key]), _default(item)) for key, item in keys_of(kind).items()
    ]
    pending = name in PENDING or f"{name}.*" in PENDING
    assert ("**no effect yet**" in section.split("| key |")[0]) == pending
    assert [key for key, _, _, text in rows if "**no effect yet**" in text] == [
        key for key in keys_of(kind) if f"{name}.{key}" in PENDING
    ]
