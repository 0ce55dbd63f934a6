"""``kind = "serial_line"``: a device that prints lines, read by a pattern, as flat JSON objects or as columns."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from drivers.sdk.contract import Decoder, Measurement, Options, Value
from drivers.sdk.framing import FrameError, LineDecoder
from drivers.sdk.linear_regex import Pattern, PatternError, compiled
from drivers.sdk.profile_rules import Rule, judge
from drivers.sdk.profile_table import Table

_NUMBER = re.compile(r"[+-]? *[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?")
_ABSENT = object()
_MOST_COLUMNS = 64
_MAX_CANDIDATES = 16
"""In one line: each is tried, and a line may be nothing but beginnings."""
_BRACE = re.compile(r"\{")


@dataclass(frozen=True, slots=True)
class LineField:
    """Where a line's value stands and how it is read.

    ``keys``: the group, or the JSON keys, of which the first present one counts. ``words``: text -> value.
    ``sign_of``: taken from the sign of these keys instead, where ``keys`` are absent: ``signs`` says what
    below zero and what above zero means. ``units``: factors by the text of ``unit_group``.
    """

    name: str
    keys: tuple[str, ...]
    text: bool = False
    scale: float = 1
    offset: float = 0
    absolute: bool = False
    words: Mapping[str, Value] | None = None
    sign_of: tuple[str, ...] = ()
    signs: tuple[str, str] = ("", "")
    unit_group: str = ""
    units: Mapping[str, float] | None = None

    def take(self, found: Mapping[str, object]) -> Value:
        """The field's value; None where the line has none. Raises FrameError for what cannot be read."""
        raw = _first(found, self.keys)
        if raw is _ABSENT and self.sign_of:
            signed = _first(found, self.sign_of)
            number = 0.0 if signed is _ABSENT else _number(signed)
            return (self.signs[0] if number < 0 else self.signs[1]) if number else None
        if raw is _ABSENT:
            return None
        if self.words is not None:
            word = str(raw).strip()
            if word not in self.words:
                raise FrameError("format")
            return self.words[word]
        if self.text:
            return str(raw).strip()
        return self._scaled(_number(raw), found)

    def _scaled(self, number: float, found: Mapping[str, object]) -> float:
        if self.units is not None:
            unit = str(found.get(self.unit_group, "")).strip()
            if unit not in self.units:
                raise FrameError("format")
            number *= self.units[unit]
        if self.scale != 1 or self.offset != 0:
            number = number * self.scale + self.offset
        return abs(number) if self.absolute else number


@dataclass(frozen=True, slots=True)
class LineSpec:
    """A whole line profile: what the decoder and the simulator work from.

    ``pattern``: None for JSON and for columns, which ``separator`` parts: as many as ``columns``.
    ``candidate``: where in a line a candidate begins; a line without one is the device's own talk (without
    ``candidate``: every line that the pattern does not match). ``require``: fields without which a line is no
    measurement. ``event``: each line is an event of this name.
    """

    pattern: Pattern | None
    candidate: Pattern | None
    require: tuple[str, ...]
    fields: tuple[LineField, ...]
    rules: tuple[Rule, ...] = ()
    most: int = 512
    event: str = ""
    separator: str = ""
    columns: int = 0

    def decoder(self) -> Callable[[Options], Decoder]:
        """A factory of decoders."""
        return lambda options: LineDecoder(self.read, self.most)

    def read(self, line: str, at_s: float) -> Measurement | None:
        """The measurement in a line; None for a line that is none. Raises FrameError."""
        found = self._find(line)
        if found is None:
            return None
        values = {field.name: field.take(found) for field in self.fields}
        if self.pattern is None and not self.separator and any(values[name] is None for name in self.require):
            return None
        seen: dict[str, Value] = {key: value for key, value in found.items() if isinstance(value, str)}
        seen.update(values)
        quality = judge(self.rules, values, seen, b"", at_s)
        values = {name: value for name, value in values.items() if value is not None or name in quality}
        if any(name not in values for name in self.require):
            raise FrameError("format")
        return Measurement(values, quality, self.event)

    def _starts(self, line: str) -> list[int]:
        assert self.candidate is not None
        return [match.start() for match in islice(self.candidate.finditer(line), _MAX_CANDIDATES)]

    def _find(self, line: str) -> Mapping[str, object] | None:
        """The groups or keys of the line's first readable candidate; None where there is no candidate."""
        starts = self._starts(line) if self.candidate else [0]
        for start in starts:
            if self.separator:
                words = line[start:].rstrip().split(self.separator)
                if len(words) == self.columns:
                    return {str(at): word.strip() for at, word in enumerate(words)}
            elif self.pattern is None:
                found = _json_object(line[start:])
                if found is not None:
                    return found
            elif match := self.pattern.fullmatch(line.rstrip(), start):
                return {key: value for key, value in match.groupdict().items() if value is not None}
        if starts and self.candidate:
            raise FrameError("format")
        return None


def _json_object(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _first(found: Mapping[str, object], keys: tuple[str, ...]) -> object:
    for key in keys:
        if key in found:
            value = found[key]
            if isinstance(value, list):  # several objects at once: the device names the strongest first
                value = value[0] if value else _ABSENT
            return value
    return _ABSENT


def _number(raw: object) -> float:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
        return float(raw.replace(" ", ""))
    raise FrameError("format")


def read_field(name: str, table: Table, *, text: bool) -> LineField:
    """How a field is read, from its own table."""
    signs = table.table("sign")
    words = table.table("map") if "map" in table else None
    units = table.table("units") if "units" in table else None
    if "column" in table:
        keys: tuple[str, ...] = (str(table.integer("column", least=0, most=_MOST_COLUMNS)),)
    else:
        keys = table.texts("key") or (name,)
    read = LineField(
        name,
        keys,
        text,
        table.number("scale", 1),
        table.number("offset", 0),
        table.flag("absolute"),
        None if words is None else {key: _word(words, key) for key in words.keys()},  # noqa: SIM118
        table.texts("sign_of"),
        (signs.text("negative", ""), signs.text("positive", "")),
        table.text("unit_group", ""),
        None if units is None else {key: units.number(key) for key in units.keys()},  # noqa: SIM118
    )
    if units is not None and not read.unit_group:
        table.wrong("unit_group", "missing; expected {wanted}", wanted="the name of the group that contains the unit")
    return read


def _word(table: Table, key: str) -> Value:
    value = table.raw(key)
    if isinstance(value, (str, bool, int, float)):
        return value
    table.wrong(key, "{value} is not {wanted}", value=repr(value), wanted="a string, a number, true or false")
    return None


def read_lines(table: Table, fields: tuple[LineField, ...], rules: tuple[Rule, ...], event: str) -> LineSpec:
    """The ``lines`` table; notes groups and columns that a line does not have."""
    form = table.one_of("format", ("pattern", "json", "csv"))
    pattern = _regex(table, "pattern") if form == "pattern" else None
    candidate: Pattern | None = _regex(table, "candidate") if "candidate" in table else None
    if candidate is None and form == "json":
        candidate = _BRACE
    separator, columns = _read_columns(table, fields) if form == "csv" else ("", 0)
    require = table.texts("require")
    names = [field.name for field in fields]
    for name in require:
        if name not in names:
            table.wrong(
                "require", "{value} is not a field; expected one of {choices}", value=name, choices=", ".join(names)
            )
    if pattern is not None:
        for group in {group for field in fields for group in (*field.keys, field.unit_group) if group}:
            if group not in pattern.groupindex:
                known = ", ".join(pattern.groupindex) or "(?P<name>...)"
                table.wrong("pattern", "no group {value}; the groups are {choices}", value=group, choices=known)
    most = table.integer("max_length", 512, least=1, most=4096)
    table.done()
    return LineSpec(pattern, candidate, require, fields, rules, most, event, separator, columns)


def _read_columns(table: Table, fields: tuple[LineField, ...]) -> tuple[str, int]:
    separator = table.text("separator", ",")
    if len(separator) != 1:
        table.wrong("separator", "{value} is not {wanted}", value=repr(separator), wanted="a single character")
    columns = table.integer("columns", least=1, most=_MOST_COLUMNS)
    for field in fields:
        for key in field.keys:
            if not key.isdecimal() or int(key) >= columns:
                table.wrong("columns", "{field} is not a column from 0 to {most}", field=field.name, most=columns - 1)
    return separator, columns


def _regex(table: Table, key: str) -> Pattern | None:
    if key == "pattern" and key not in table:
        table.wrong(key, "missing; expected {wanted}", wanted="a regular expression with named groups")
    try:
        return compiled(table.text(key, ""))
    except PatternError as error:
        table.wrong(key, "not a regular expression that RE2 can match in linear time: {why}", why=error)
        return None
