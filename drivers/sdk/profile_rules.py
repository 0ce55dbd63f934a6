"""The ``[[rule]]`` tables of a profile: which values are to be doubted, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.sdk.contract import NOTHING_DOUBTED, REASONS, Value
from drivers.sdk.profile_table import Table

_GRADES = ("uncertain", "bad")


@dataclass(frozen=True, slots=True)
class Rule:
    """``quality`` for ``fields`` (none: all) when everything it names holds.

    ``equals``: a field or group is one of these values. ``zeros``: these bytes of the frame are all zero.
    ``within_s``: only so long after the link was opened.
    """

    quality: str
    fields: tuple[str, ...]
    equals: Mapping[str, frozenset[Value]]
    zeros: slice | None
    within_s: float | None

    def holds(self, seen: Mapping[str, Value], frame: bytes, at_s: float) -> bool:
        if self.within_s is not None and at_s > self.within_s:
            return False
        if self.zeros is not None and any(frame[self.zeros]):
            return False
        return all(seen.get(name) in values for name, values in self.equals.items())


def judge(
    rules: Sequence[Rule], values: dict[str, Value], seen: Mapping[str, Value], frame: bytes, at_s: float
) -> Mapping[str, str]:
    """The qualities that the rules give (the first that holds for a field wins); bad values become None."""
    quality: dict[str, str] = {}
    for rule in rules:
        if rule.holds(seen, frame, at_s):
            for name in rule.fields or tuple(values):
                quality.setdefault(name, rule.quality)
    for name, reason in quality.items():
        if reason.startswith("bad:"):
            values[name] = None
    return quality or NOTHING_DOUBTED


def read_rules(profile: Table, known: Sequence[str], *, binary: bool) -> tuple[Rule, ...]:
    """The profile's rules; ``known``: the names of fields and groups that a rule may speak of."""
    return tuple(_read_rule(table, known, binary) for table in profile.tables("rule"))


def _read_rule(table: Table, known: Sequence[str], binary: bool) -> Rule:
    quality = table.text("quality")
    grade, _, reason = quality.partition(":")
    if grade not in _GRADES or reason not in REASONS:
        table.wrong(
            "quality",
            "{value} is not a quality; expected uncertain: or bad:, followed by one of {choices}",
            value=repr(quality),
            choices=", ".join(sorted(REASONS)),
        )
    when = table.table("when")
    equals = {key: _constants(when.raw(key)) for key in when.keys()}  # noqa: SIM118
    for name in (*table.texts("fields"), *equals):
        if name not in known:
            table.wrong("", "{value} is not a field; expected one of {choices}", value=name, choices=", ".join(known))
    zeros = None
    if binary and "zeros" in table:
        span = table.table("zeros")
        zeros = slice(span.integer("from"), span.integer("to"))
        span.done()
    if not equals and zeros is None:
        table.wrong("when", "a rule needs a condition, as in when = {example}", example="{ co2 = 0 }")
    rule = Rule(quality, table.texts("fields"), equals, zeros, table.maybe_number("within_s"))
    table.done()
    return rule


def _constants(value: object) -> frozenset[Value]:
    constants = value if isinstance(value, list) else [value]
    return frozenset(each for each in constants if isinstance(each, (int, float, str, bool)))
