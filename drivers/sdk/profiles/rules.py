"""The ``[[rule]]`` tables of a profile: which values are doubtful, and why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from drivers.sdk.contract import NOTHING_DOUBTED, REASONS, Value
from drivers.sdk.messages import _
from drivers.sdk.profiles.fields import MAX_WORDS, Names, as_tuple
from drivers.sdk.tables.limits import MAX_NUMBER, Limit, Scalar
from drivers.sdk.tables.names import check_known
from drivers.sdk.tables.problem import Report, join

_GRADES = ("uncertain", "bad")
_MAX_PLACE = 1024

Quality = Annotated[
    str,
    Limit(
        choices=tuple(f"{grade}:{reason}" for grade in _GRADES for reason in sorted(REASONS)),
        means="uncertain: or bad:, followed by a reason",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTable:
    """``[[rule]]``."""

    quality: Quality
    when: Annotated[Mapping[str, Scalar | Annotated[tuple[Scalar, ...], Limit(max=MAX_WORDS)]], Limit(max=16)] = field(
        default_factory=dict
    )
    fields: Names = ()
    within_s: Annotated[float, Limit(min=0, max=MAX_NUMBER, means="a number, at least 0")] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanTable:
    """``zeros`` of a rule: some bytes of a frame."""

    from_: Annotated[int, Limit(min=-_MAX_PLACE, max=_MAX_PLACE)]
    to: Annotated[int, Limit(min=-_MAX_PLACE, max=_MAX_PLACE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesRuleTable(RuleTable):
    """``[[rule]]`` of a kind whose frames are bytes."""

    zeros: SpanTable | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives ``fields`` (none: all of them) a ``quality`` when everything that it names holds.

    ``equals``: a field or group has one of these values. ``zeros``: these bytes of the frame are all zero.
    ``within_s``: only for so long after the port was opened.
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
    """Return the qualities that the rules give: for a field, the first rule that holds. Bad values become None."""
    quality: dict[str, str] = {}
    for rule in rules:
        if rule.holds(seen, frame, at_s):
            for name in rule.fields or tuple(values):
                quality.setdefault(name, rule.quality)
    for name, reason in quality.items():
        if reason.startswith("bad:"):
            values[name] = None
    return quality or NOTHING_DOUBTED


def check_rules(tables: Sequence[RuleTable], known: Collection[str], path: str, report: Report) -> None:
    """Report rules without a condition, and names that are no field. ``known``: of fields and groups."""
    for at, table in enumerate(tables):
        where = join(path, f"rule[{at}]")
        named = [(f"{where}.fields", name) for name in as_tuple(table.fields)]
        named += [(f"{where}.when.{name[:64]}", name) for name in table.when]
        for place, name in named:
            if not report.wrong(join(path, "fields")) and not report.wrong(join(path, f"fields.{name[:64]}")):
                check_known(place, "unknown_name", name, known, report)
        has_condition = bool(table.when) or getattr(table, "zeros", None) is not None
        if not has_condition and report.sound(f"{where}.when", f"{where}.zeros"):
            hint = _("a rule needs a condition, as in when = {example}").format(example="{ co2 = 0 }")
            report.error(f"{where}.when", "missing", _("missing key"), hint)


def build_rules(tables: Sequence[RuleTable]) -> tuple[Rule, ...]:
    """Return the rules of tables without a problem."""
    return tuple(_build(table) for table in tables)


def _build(table: RuleTable) -> Rule:
    equals = {name: frozenset(value if isinstance(value, tuple) else (value,)) for name, value in table.when.items()}
    span = table.zeros if isinstance(table, BytesRuleTable) else None
    zeros = None if span is None else slice(span.from_, span.to)
    return Rule(table.quality, as_tuple(table.fields), equals, zeros, table.within_s)
