"""What a profile says beside decoding: its page for people, its examples, what its simulator sends."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.sdk.contract import Field, Page, Value
from drivers.sdk.profile_table import Table


@dataclass(frozen=True, slots=True)
class Example:
    """What the device really sent, and its meaning: ``expect`` values with ``q``, or ``reject`` a reason."""

    raw: bytes
    source: str
    expect: Mapping[str, Value]
    q: Mapping[str, str]
    reject: str = ""


@dataclass(frozen=True, slots=True)
class Sim:
    """What the simulator sends: typical ``values``; for lines a ``template`` for str.format, with its end."""

    values: Mapping[str, Value]
    template: str = ""


def read_page(table: Table) -> Page:
    """The ``[page]`` table."""
    page = Page(
        table.text("about", "").strip(),
        table.text("wiring", "").strip(),
        table.texts("pitfalls"),
        table.text("example", "").strip(),
    )
    table.done()
    return page


def read_examples(table: Table) -> tuple[Example, ...]:
    """The ``[[example]]`` tables; whether they hold is for the tests."""
    examples = []
    for each in table.tables("example"):
        raw = each.hexadecimal("hex") if "hex" in each else each.text("text").encode("latin-1", "replace")
        expect, quality = each.table("expect"), each.table("q")
        examples.append(
            Example(
                raw,
                each.text("source"),
                {key: _plain(expect.raw(key)) for key in expect.keys()},  # noqa: SIM118
                {key: quality.text(key) for key in quality.keys()},  # noqa: SIM118
                each.text("reject", ""),
            )
        )
        each.done()
    return tuple(examples)


def read_sim(table: Table, fields: Mapping[str, Field]) -> Sim:
    """The ``[sim]`` table; notes values of fields that are none."""
    sim = table.table("sim")
    values = sim.table("values")
    typical = {key: _plain(values.raw(key)) for key in values.keys()}  # noqa: SIM118
    for name in typical:
        if name not in fields:
            values.wrong(
                name, "{value} is not a field; expected one of {choices}", value=name, choices=", ".join(fields)
            )
    template = sim.text("template", "")
    sim.done()
    return Sim(typical, template)


def _plain(value: object) -> Value:
    return value if isinstance(value, (str, bool, int, float)) else None
