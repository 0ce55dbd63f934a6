"""The keys of a profile that do not depend on its kind: who it is, its page, its examples, its simulator."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from drivers.sdk.contract import REASONS, Page, Value
from drivers.sdk.messages import _
from drivers.sdk.profiles.kind import KINDS
from drivers.sdk.profiles.rules import Quality
from drivers.sdk.tables.limits import Hex, Limit, Scalar, Text
from drivers.sdk.tables.names import check_known
from drivers.sdk.tables.problem import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleTable:
    """``[[example]]``."""

    hex: Hex | None = None
    text: Text | None = None
    source: str
    expect: Mapping[str, Scalar] = field(default_factory=dict)
    q: Mapping[str, Quality] = field(default_factory=dict)
    reject: Annotated[str, Limit(choices=tuple(sorted(REASONS)))] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimTable:
    """``[sim]``."""

    values: Mapping[str, Scalar] = field(default_factory=dict)
    template: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The keys of every profile."""

    kind: Annotated[str, Limit(choices=KINDS)]
    name: str
    title: str
    source: str
    page: Page = field(default_factory=Page)
    example: tuple[ExampleTable, ...] = ()
    sim: SimTable = SimTable()


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


def check_head(head: Head, fields: Collection[str], report: Report) -> None:
    """Report examples without a frame, and values of fields that do not exist."""
    for at, table in enumerate(head.example):
        path = f"example[{at}]"
        if table.hex is None and table.text is None and report.sound(f"{path}.hex", f"{path}.text"):
            report.error(f"{path}.hex", "missing", _("missing key"), _("an example needs hex or text"))
    for name in head.sim.values:
        if not report.wrong("fields") and not report.wrong(f"fields.{name[:64]}"):
            check_known(f"sim.values.{name[:64]}", "unknown_name", name, fields, report)


def build_page(page: Page) -> Page:
    """Return the page without spaces and line breaks around its texts."""
    return Page(page.about.strip(), page.wiring.strip(), page.pitfalls, page.example.strip())


def build_examples(head: Head) -> tuple[Example, ...]:
    """Return the examples. Whether they are right is for the tests."""
    return tuple(_build_example(table) for table in head.example)


def _build_example(table: ExampleTable) -> Example:
    raw = (table.text or "").encode("latin-1", "replace") if table.hex is None else bytes.fromhex(table.hex)
    return Example(raw, table.source, table.expect, table.q, table.reject or "")
