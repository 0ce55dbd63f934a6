"""Where the keys of a TOML text stand. The parser of the standard library does not say, and only a problem needs it."""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.sdk.tables.problem import Problem
from drivers.sdk.tables.reader import labels

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
_PART = re.compile(r"[.\[]|$")
_MAX_KEY = 64
"""How much of an unknown key a path contains."""


def with_lines(problems: Sequence[Problem], text: str) -> tuple[Problem, ...]:
    """Return the problems with the lines of their paths. ``text``: the TOML text, which could be parsed."""
    if not any(problem.path for problem in problems):
        return tuple(problems)
    lines = LineIndex(text)
    return tuple(replace(found, line=lines.find(found.path)) if found.path else found for found in problems)


class _Place:
    """A key, a table, an array or an entry of one. ``start``: the index of its first character."""

    __slots__ = ("entries", "is_array", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.is_array = False
        self.entries: dict[str | int, _Place] = {}

    def last(self) -> "_Place":
        """Return the table that a header below this place belongs to: of an array, its last entry."""
        return self.entries[len(self.entries) - 1] if self.is_array and self.entries else self


class LineIndex:
    """The lines of a TOML text."""

    def __init__(self, text: str) -> None:
        self._starts = [found.end() for found in re.finditer("\n", text)]
        self._content = tomllib.loads(text)
        try:
            self._root = _Scanner(text).scan()
        except RecursionError:
            self._root = _Place(0)

    def find(self, path: str) -> int:
        """Return the line, from 1, of a path such as ``sensor.air-1.fields.x.type`` or ``rule[0].when``: of the key, or
        of the innermost table around it that is there."""
        _rest, at = _find(path, self._root, self._content)
        return bisect_right(self._starts, at) + 1


def _find(path: str, place: _Place, content: object) -> tuple[int, int]:
    """Return how much of the path was not found, and where the last part that was found stands."""
    best = len(path), place.start
    if not path:
        return best
    if isinstance(content, list):
        ids = [item.get("id") if isinstance(item, Mapping) else None for item in content]
        for at, label in enumerate(labels("", ids)):
            for name in {label, f"[{at}]"}:
                if at in place.entries and path.startswith(name) and path[len(name) : len(name) + 1] in ("", ".", "["):
                    best = min(best, _find(path[len(name) :], place.entries[at], content[at]))
        return best
    path = path.removeprefix(".")
    if isinstance(content, Mapping):
        for end in {found.start() for found in _PART.finditer(path)}:
            for key in _keys(path[:end], place):
                best = min(best, _find(path[end:], place.entries[key], content[key]))
    return best


def _keys(name: str, place: _Place) -> list[str]:
    """Return the keys that a path may call so: it contains only the beginning of a long key."""
    if len(name) < _MAX_KEY:
        return [name] if name in place.entries else []
    return [key for key in place.entries if isinstance(key, str) and key.startswith(name)]


class _Scanner:
    """Reads TOML that is known to be valid, and notes where each key stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._root = _Place(0)

    def scan(self) -> _Place:
        """Return the place of the whole document."""
        table = self._root
        while self._skip(_BLANK) < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
        return self._root

    def _header(self) -> _Place:
        start = self._at
        is_entry = self._text.startswith("[[", start)
        self._at += 2 if is_entry else 1
        place, (*parents, name) = self._root, self._key()
        for key, _start in parents:
            place = place.entries.setdefault(key, _Place(start)).last()
        self._at += 2 if is_entry else 1
        if not is_entry:
            table = place.entries.setdefault(name[0], _Place(start))
            table.start = start
            return table
        array = place.entries.setdefault(name[0], _Place(start))
        array.is_array = True
        entry = array.entries[len(array.entries)] = _Place(start)
        return entry

    def _pair(self, table: _Place) -> None:
        """``key = value``."""
        for key, start in self._key():
            table = table.entries.setdefault(key, _Place(start))
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(table)

    def _key(self) -> list[tuple[str, int]]:
        """Read a key, which may be dotted and quoted; return its parts and where each of them starts."""
        parts = []
        while True:
            start = self._skip(_SPACE)
            if self._text[start] in "\"'":
                self._skip(_STRING)
                (key,) = tomllib.loads(self._text[start : self._at] + " = 0")
            else:
                self._skip(_BARE)
                key = self._text[start : self._at]
            parts.append((key, start))
            if not self._text.startswith(".", self._skip(_SPACE)):
                return parts
            self._at += 1

    def _value(self, place: _Place) -> None:
        sign = self._text[self._at]
        if sign in "\"'":
            self._skip(_STRING)
        elif sign not in "[{":
            self._skip(_SCALAR)
        else:
            place.is_array = sign == "["
            self._at += 1
            while self._text[self._skip(_BLANK)] not in "]}":
                if sign == "[":
                    entry = place.entries[len(place.entries)] = _Place(self._at)
                    self._value(entry)
                else:
                    self._pair(place)
                if self._text.startswith(",", self._skip(_BLANK)):
                    self._at += 1
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        """Go on behind the pattern, if it is here; return where that is."""
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return self._at
