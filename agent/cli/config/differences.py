"""What one configuration changes in another, as it is shown to whoever signs it: every value, old and new."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import TextIO

from agent.core.config_changes import Change, changes, to_rebuild
from agent.core.config_words import shown
from agent.core.remote_config import Tables, is_local_key
from agent.core.text import one_line, say

_LONGEST = 160
_LOGIN = re.compile(r"://[^/\s\"]*@")


def print_differences(old: Tables, new: Tables, out: TextIO) -> None:
    """A line for each value, and the sensors that restart."""
    found = changes(old, new)
    for line in (line for change in found for line in _lines(change)):
        print(line, file=out)
    if not found:
        print(say("nothing changes"), file=out)
    if restarting := sorted(to_rebuild(old, new)):
        print(say("sensors that restart: {names}", names=", ".join(map(one_line, restarting))), file=out)


def _lines(change: Change) -> Iterator[str]:
    path = one_line(change.path)
    if change.old is None:
        yield from (f"+ {where}{_given(value)}" for where, value in _leaves(path, change.new))
    elif change.new is None:
        yield from (f"- {where}{_given(value)}" for where, value in _leaves(path, change.old))
    else:
        yield f"~ {path}: {_value(path, change.old)} -> {_value(path, change.new)}"


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    """The values of an entry that is new or gone, each with its path; its id is in the path already."""
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
    """A value in one line, whole or told apart by its hash, and without secrets."""
    if is_local_key(path.rpartition(".")[2]) and isinstance(value, str):
        return say("(hidden)")
    if isinstance(value, bool | int | float):
        return shown(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    line = one_line(_LOGIN.sub("://...@", text), max(len(text), 2))
    if len(line) <= _LONGEST:
        return line
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
    return say(
        "{beginning}… ({count} characters, SHA-256 {digest}…)", beginning=line[:60], count=len(text), digest=digest
    )
