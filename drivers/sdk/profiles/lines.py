"""``kind = "serial_line"``: a device that prints lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from drivers.sdk.contract import FieldName, LineSettings, SerialDriver
from drivers.sdk.linear_regex import Pattern, PatternError, compiled
from drivers.sdk.messages import _
from drivers.sdk.profiles.fields import (
    MAX_FIELDS,
    MAX_RULES,
    MAX_WORDS,
    FieldTable,
    Names,
    as_tuple,
    check_field,
    declaration,
)
from drivers.sdk.profiles.kind import Device, DeviceKind, Timeout
from drivers.sdk.profiles.line_decoding import LineField, LineSpec
from drivers.sdk.profiles.rules import RuleTable, build_rules, check_rules
from drivers.sdk.tables.limits import Limit, Number, Scalar, Text
from drivers.sdk.tables.names import check_known
from drivers.sdk.tables.problem import Report, join

EVENTS = ("seen", "gone", "on", "off")
"""The events that a line may be."""

_MAX_COLUMNS = 64
_BRACE = r"\{"
_USED_BY = {"pattern": "pattern", "separator": "csv", "columns": "csv"}
"""Keys of ``lines`` that only this format uses."""

Latin = Annotated[
    str, Limit(pattern=r"[\x00-\xff]*", means="Latin-1 text, in which every byte is a character", control=True)
]
ColumnNumber = Annotated[int, Limit(min=0, max=_MAX_COLUMNS - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignTable:
    """``sign`` of a field."""

    positive: str = ""
    negative: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFieldTable(FieldTable):
    """``fields.NAME`` of a device that prints lines."""

    key: Names = ()
    column: ColumnNumber | None = None
    scale: Number = 1
    offset: Number = 0
    absolute: bool = False
    map: Annotated[Mapping[str, Scalar], Limit(max=MAX_WORDS)] | None = None
    sign_of: Names = ()
    sign: SignTable = SignTable()
    unit_group: str = ""
    units: Annotated[Mapping[str, Number], Limit(max=MAX_WORDS)] | None = None

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the group, the column or the JSON keys of the field ``name``."""
        return as_tuple(self.key) or (name,) if self.column is None else (str(self.column),)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesTable:
    """``lines``."""

    format: Annotated[str, Limit(choices=("pattern", "json", "csv"))]
    pattern: Text | None = None
    candidate: Text | None = None
    require: Names = ()
    separator: Annotated[str, Limit(pattern=r"[\s\S]", means="a single character", control=True)] | None = None
    columns: Annotated[int, Limit(min=1, max=_MAX_COLUMNS)] | None = None
    max_length: Annotated[int, Limit(min=1, max=4096)] = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """The tables of the kind."""

    lines: LinesTable
    fields: Annotated[Mapping[FieldName, LineFieldTable], Limit(max=MAX_FIELDS)]
    rule: Annotated[tuple[RuleTable, ...], Limit(max=MAX_RULES)] = ()
    event: Annotated[str, Limit(choices=EVENTS)] | None = None
    request: Latin | Annotated[tuple[Latin, ...], Limit(max=100)] = ()
    setup: Latin | Annotated[tuple[Latin, ...], Limit(max=100)] = ()
    timeout_s: Timeout = 1.0
    period_s: Annotated[float, Limit(min=0, max=86_400)] = 1.0
    line: LineSettings = field(default_factory=LineSettings)


def check(tables: SerialLine, path: str, report: Report) -> None:
    """Report what does not fit together."""
    lines, fields = join(path, "lines"), join(path, "fields")
    for name, table in tables.fields.items():
        check_field(table, f"{fields}.{name}", report)
        if table.units is not None and not table.unit_group and report.sound(f"{fields}.{name}.unit_group"):
            hint = _("the name of the group that contains the unit")
            report.error(f"{fields}.{name}.unit_group", "missing", _("missing key"), hint)
    groups = [key for name, table in tables.fields.items() for key in table.keys(name)]
    check_rules(tables.rule, {*tables.fields, *groups}, path, report)
    if tables.period_s == 0 and tables.event is None and report.sound(join(path, "event"), join(path, "period_s")):
        message = _("{value} is out of range").format(value=0)
        report.error(join(path, "period_s"), "range", message, _("a number greater than 0"))
    for name in as_tuple(tables.lines.require):
        if not report.wrong(fields) and not report.wrong(f"{fields}.{name[:64]}"):
            check_known(f"{lines}.require", "unknown_name", name, tables.fields, report)
    if report.sound(f"{lines}.format"):
        _check_format(tables, lines, report)


def build(tables: SerialLine) -> Device[LineSpec]:
    """Return the device of tables without a problem."""
    fields = {name: declaration(table, None) for name, table in tables.fields.items()}
    lines = tables.lines
    is_csv = lines.format == "csv"
    pattern = compiled(lines.pattern) if lines.pattern is not None else None
    candidate = lines.candidate
    if candidate is None and lines.format == "json":
        candidate = _BRACE
    spec = LineSpec(
        pattern,
        None if candidate is None else compiled(candidate),
        as_tuple(lines.require),
        tuple(_line_field(name, table) for name, table in tables.fields.items()),
        build_rules(tables.rule),
        lines.max_length,
        tables.event or "",
        (lines.separator or ",") if is_csv else "",
        lines.columns or 0,
    )
    driver = partial(
        SerialDriver,
        fields=fields,
        decoder=spec.decoder(),
        inline=True,
        period_s=tables.period_s,
        line=tables.line,
        setup=tuple(part.encode("latin-1") for part in as_tuple(tables.setup)),
        request="".join(as_tuple(tables.request)).encode("latin-1"),
        timeout_s=tables.timeout_s,
    )
    return Device(fields, spec, driver)


def _line_field(name: str, table: LineFieldTable) -> LineField:
    return LineField(
        name,
        table.keys(name),
        table.kind == "text",
        table.scale,
        table.offset,
        table.absolute,
        table.map,
        as_tuple(table.sign_of),
        (table.sign.negative, table.sign.positive),
        table.unit_group,
        table.units,
    )


def _check_format(tables: SerialLine, path: str, report: Report) -> None:
    lines = tables.lines
    for key, form in _USED_BY.items():
        if getattr(lines, key) is not None and lines.format != form:
            hint = _("only for format = {format}").format(format=f'"{form}"')
            report.error(
                f"{path}.{key}", "unused", _("not used with format = {format}").format(format=f'"{lines.format}"'), hint
            )
    if lines.candidate is not None:
        _check_pattern(lines.candidate, f"{path}.candidate", report)
    if lines.format == "pattern":
        _check_groups(tables, f"{path}.pattern", report)
    elif lines.format == "csv":
        _check_columns(tables, f"{path}.columns", report)


def _check_groups(tables: SerialLine, path: str, report: Report) -> None:
    if not report.sound(path):
        return
    if tables.lines.pattern is None:
        report.error(path, "missing", _("missing key"), _("a regular expression with named groups"))
        return
    pattern = _check_pattern(tables.lines.pattern, path, report)
    if pattern is None:
        return
    known = ", ".join(pattern.groupindex) or "(?P<name>...)"
    named = [key for name, table in tables.fields.items() for key in (*table.keys(name), table.unit_group) if key]
    for group in dict.fromkeys(named):
        if group not in pattern.groupindex:
            message = _("the pattern has no group {value}").format(value=group[:64])
            report.error(path, "unknown_group", message, _("its groups: {choices}").format(choices=known))


def _check_pattern(source: str, path: str, report: Report) -> Pattern | None:
    try:
        return compiled(source)
    except PatternError as error:
        message = _("RE2 cannot use this regular expression: {why}").format(why=str(error)[:200])
        report.error(path, "pattern", message)
        return None


def _check_columns(tables: SerialLine, path: str, report: Report) -> None:
    if not report.sound(path):
        return
    columns = tables.lines.columns
    if columns is None:
        hint = _("{kind} from {low} to {high}").format(kind=_("an integer"), low=1, high=_MAX_COLUMNS)
        report.error(path, "missing", _("missing key"), hint)
        return
    for name, table in tables.fields.items():
        for key in table.keys(name):
            if not key.isdecimal() or int(key) >= columns:
                message = _("{field} is not a column from 0 to {last}").format(field=name, last=columns - 1)
                report.error(path, "range", message)


SERIAL_LINE = DeviceKind(SerialLine, check, build)
