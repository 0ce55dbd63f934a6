"""Decodes the lines of ``kind = "serial_line"``: by a pattern, as flat JSON objects or as columns."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from drivers.sdk.contract import Decoder, Measurement, Options, Value
from drivers.sdk.framing import FrameError, LineDecoder
from drivers.sdk.linear_regex import Pattern
from drivers.sdk.profiles.rules import Rule, judge

_NUMBER = re.compile(r"[+-]? *[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?")
_ABSENT = object()
_MAX_CANDIDATES = 16
"""Per line: every candidate is tried, and a line may consist of nothing but beginnings."""


@dataclass(frozen=True, slots=True)
class LineField:
    """Where the value of a field stands in a line, and how it is parsed.

    ``keys``: the group, the column, or the JSON keys, of which the first that is present counts. ``words``: the value
    of each text. ``sign_of``: where ``keys`` are absent, the sign of these keys decides: ``signs`` are the values below
    and above zero. ``units``: factors by the text of ``unit_group``.
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

    def value(self, found: Mapping[str, object]) -> Value:
        """Return the field's value; None where the line has none. Raises FrameError for what cannot be parsed."""
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
    """What the decoder and the simulator of such a device work from.

    ``pattern``: None for JSON, and for ``columns`` columns that a ``separator`` splits. ``candidate``: where in a line
    a reading may begin; a line without a candidate is not a reading. Without ``candidate``, a line that the pattern
    does not match is not a reading. ``require``: fields without which a line is no measurement. ``event``: every line
    is an event of this name.
    """

    pattern: Pattern | None
    candidate: Pattern | None
    require: tuple[str, ...]
    fields: tuple[LineField, ...]
    rules: tuple[Rule, ...] = ()
    max_length: int = 512
    event: str = ""
    separator: str = ""
    columns: int = 0

    def decoder(self) -> Callable[[Options], Decoder]:
        """Return a factory of decoders."""
        return lambda options: LineDecoder(self.parse, self.max_length)

    def parse(self, line: str, at_s: float) -> Measurement | None:
        """Return the measurement in a line; None for a line that is not a reading. Raises FrameError."""
        found = self._find(line)
        if found is None:
            return None
        values = {field.name: field.value(found) for field in self.fields}
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
        """Return the groups or keys of the first candidate that can be parsed; None where there is no candidate."""
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
