"""What the tables of every kind of profile have in common: their fields, and what comes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

from drivers.sdk.contract import Driver, Field, Kind, is_field_name
from drivers.sdk.profile_table import Table
from drivers.sdk.units import UNITS

S = TypeVar("S", covariant=True)


@dataclass(frozen=True, slots=True)
class Made(Generic[S]):
    """What the tables of one kind say. ``spec``: what decoder and simulator work from; ``driver``: makes the
    driver of what all kinds have in common."""

    fields: Mapping[str, Field]
    spec: S
    driver: Callable[..., Driver]


def field_tables(table: Table) -> list[tuple[str, Table]]:
    """The tables of the fields, by name; notes names that no field may have."""
    fields = table.table("fields", required=True)
    for name in fields.keys():  # noqa: SIM118
        if not is_field_name(name):
            fields.wrong(
                name,
                "not a field name: use a-z, 0-9 and _, starting with a letter, at most 32 "
                "characters, and not t, q, ev or sev",
            )
    return [(name, fields.table(name, required=True)) for name in fields.keys()]  # noqa: SIM118


def read_declaration(table: Table, step: float | None) -> Field:
    """What a field's table declares; ``step``: its resolution where the table gives none."""
    unit = table.text("unit", "")
    if unit not in UNITS:
        table.wrong("unit", "{value} is not a SenML unit (RFC 8428, RFC 8798)", value=repr(unit))
    kind: Kind = table.one_of("kind", get_args(Kind), "gauge")  # type: ignore[assignment]
    resolution = table.maybe_number("resolution")
    least, most = table.maybe_number("min"), table.maybe_number("max")
    if least is not None and most is not None and least > most:
        table.wrong("min", "{value} is above the maximum", value=least)
    step = step if resolution is None else resolution
    return Field(unit, kind, step, least, most, table.flag("identifier"), table.flag("personal"))
