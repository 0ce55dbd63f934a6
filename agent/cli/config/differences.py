"""Shows the differences between two configurations to whoever signs: every value, old and new."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import TextIO

from agent.base.display import one_line
from agent.base.i18n import _
from agent.config.diff import Difference, Unresolved, diff, differences
from agent.config.layers import Tables, is_local_key
from drivers.sdk.tables.words import shown

_MAX_CHARS = 160
_LOGIN = re.compile(r"://[^/\s\"]*@")


def print_differences(old: Tables, new: Tables, out: TextIO) -> None:
    """Print one line per changed value, and the sensors that restart."""
    found = differences(old, new)
    for line in (line for difference in found for line in _lines(difference)):
        print(line, file=out)
    if not found:
        print(_("nothing changes"), file=out)
    if restarting := sorted(diff(Unresolved(old), Unresolved(new)).started):
        print(_("sensors that restart: {names}").format(names=", ".join(map(one_line, restarting))), file=out)


def _lines(difference: Difference) -> Iterator[str]:
    path = one_line(difference.path)
    if difference.old is None:
        yield from (f"+ {where}{_given(value)}" for where, value in _leaves(path, difference.new))
    elif difference.new is None:
        yield from (f"- {where}{_given(value)}" for where, value in _leaves(path, difference.old))
    else:
        yield f"~ {path}: {_value(path, difference.old)} -> {_value(path, difference.new)}"


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the values of an added or removed entry, each with its path. Its id is already part of the path."""
    if not isinstance(value, dict):
        yield path, _value(path, value)
        return
    inner = {key: item for key, item in value.items() if key != "id"}
    if not inner:
        yield path, ""
    for key, item in inner.items():
        yield from _leaves(f"{path}.{one_line(key)}", item)


def _given(value: str) -> str:
    return f" = {value}" if value else ""


def _value(path: str, value: object) -> str:
    """Return a value as one line without secrets; a long one is shortened, with its hash."""
    if is_local_key(path.rpartition(".")[2]) and isinstance(value, str):
        return _("(hidden)")
    if isinstance(value, bool | int | float):
        return shown(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    line = one_line(_LOGIN.sub("://...@", text), max(len(text), 2))
    if len(line) <= _MAX_CHARS:
        return line
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
    return _("{beginning}… ({count} characters, SHA-256 {digest}…)").format(
        beginning=line[:60], count=len(text), digest=digest
    )
