"""The tables of a device's fields: what all kinds of profile have in common."""

from dataclasses import dataclass
from typing import Annotated

from drivers.sdk.contract import Field, Kind
from drivers.sdk.messages import _
from drivers.sdk.tables.limits import Limit, Number
from drivers.sdk.tables.problem import Report
from drivers.sdk.units import UNITS

MAX_FIELDS = 1000
MAX_RULES = 100
MAX_WORDS = 1000
"""Entries of a map."""

Names = str | Annotated[tuple[str, ...], Limit(max=100)]
"""A name, or a list of them."""

Unit = Annotated[str, Limit(choices=tuple(sorted(UNITS)), means="a SenML unit (RFC 8428, RFC 8798)")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTable:
    """``fields.NAME``."""

    unit: Unit = ""
    kind: Kind = "gauge"
    resolution: Number | None = None
    min: Number | None = None
    max: Number | None = None
    identifier: bool = False
    personal: bool = False


def check_field(table: FieldTable, path: str, report: Report) -> None:
    """Report bounds that exclude every value. ``path``: of the field."""
    if table.min is not None and table.max is not None and table.min > table.max:
        report.error(f"{path}.min", "range", _("{value} is above the maximum").format(value=table.min))


def declaration(table: FieldTable, step: float | None) -> Field:
    """Return the declaration of a field. ``step``: its resolution where the table has none."""
    resolution = step if table.resolution is None else table.resolution
    return Field(table.unit, table.kind, resolution, table.min, table.max, table.identifier, table.personal)


def as_tuple(value: Names) -> tuple[str, ...]:
    """Return a string, or a list of them, as a tuple; an empty string is a missing key."""
    if isinstance(value, tuple):
        return value
    return (value,) if value else ()
