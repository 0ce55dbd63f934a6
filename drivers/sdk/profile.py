"""A device as a TOML file: ``load_profile`` makes a driver of it.

A profile says how the line is set, how a frame or line is recognised and proven, what stands where in it and
with which unit, when a value is to be doubted, and what a person should know about the device. Its examples
test it, and its ``[sim]`` table makes the simulator. docs/drivers.md shows how one is written.
"""

import tomllib
from dataclasses import dataclass
from typing import get_args

from drivers.sdk.contract import Field, Kind, LineSettings, SerialDriver, is_field_name
from drivers.sdk.profile_frame import FrameSpec, read_column, read_frame
from drivers.sdk.profile_line import LineSpec, read_field, read_lines
from drivers.sdk.profile_page import Example, Sim, read_examples, read_page, read_sim
from drivers.sdk.profile_rules import read_rules
from drivers.sdk.profile_table import Problem, ProfileError, Table
from drivers.sdk.units import UNITS

KINDS = ("serial_frame", "serial_line")


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, read whole. The agent keeps only ``driver``; the rest is for tests, pages and simulators."""

    driver: SerialDriver
    spec: FrameSpec | LineSpec
    examples: tuple[Example, ...]
    sim: Sim


def load_profile(raw: bytes, origin: str) -> SerialDriver:
    """The driver of a profile; ``origin``: its file. Raises ProfileError with all that is wrong."""
    return read_profile(raw, origin).driver


def read_profile(raw: bytes, origin: str) -> Profile:
    """A profile with its examples and its simulator's values. Raises ProfileError."""
    try:
        content = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProfileError(origin, [Problem("", "not TOML: {why}", {"why": error})]) from error
    problems: list[Problem] = []
    table = Table(content, "", problems)
    kind = table.one_of("kind", KINDS)
    fields, spec = _read_frames(table) if kind == "serial_frame" else _read_lines(table)
    driver = _read_driver(table, fields, spec)
    profile = Profile(driver, spec, read_examples(table), read_sim(table, fields))
    table.done()
    if problems:
        raise ProfileError(origin, problems)
    return profile


def _read_frames(table: Table) -> tuple[dict[str, Field], FrameSpec]:
    fields, columns = {}, []
    for name, each in _field_tables(table):
        column = read_column(name, each)
        columns.append(column)
        fraction = column.format[-1] in "fd" or column.words is not None
        fields[name] = _read_declaration(each, None if fraction else column.scale)
        each.done()
    frame = read_frame(table.table("frame", required=True), tuple(columns))
    return fields, FrameSpec(frame, tuple(columns), read_rules(table, tuple(fields), binary=True))


def _read_lines(table: Table) -> tuple[dict[str, Field], LineSpec]:
    fields, readers, groups = {}, [], []
    for name, each in _field_tables(table):
        fields[name] = _read_declaration(each, None)
        reader = read_field(name, each, text=fields[name].kind == "text")
        readers.append(reader)
        groups += [*reader.keys]
        each.done()
    known = tuple(dict.fromkeys([*fields, *groups]))
    rules = read_rules(table, known, binary=False)
    return fields, read_lines(table.table("lines", required=True), tuple(readers), rules)


def _field_tables(table: Table) -> list[tuple[str, Table]]:
    fields = table.table("fields", required=True)
    for name in fields.keys():  # noqa: SIM118
        if not is_field_name(name):
            fields.wrong(name, "no name for a field: a-z, 0-9 and _, a letter first, at most 32, not t, q, ev, sev")
    return [(name, fields.table(name, required=True)) for name in fields.keys()]  # noqa: SIM118


def _read_declaration(table: Table, step: float | None) -> Field:
    unit = table.text("unit", "")
    if unit not in UNITS:
        table.wrong("unit", "{value} is no SenML unit (RFC 8428, RFC 8798)", value=repr(unit))
    kind: Kind = table.one_of("kind", get_args(Kind), "gauge")  # type: ignore[assignment]
    resolution = table.maybe_number("resolution")
    least, most = table.maybe_number("min"), table.maybe_number("max")
    if least is not None and most is not None and least > most:
        table.wrong("min", "{value} is above the maximum", value=least)
    return Field(unit, kind, step if resolution is None else resolution, least, most)


def _read_driver(table: Table, fields: dict[str, Field], spec: FrameSpec | LineSpec) -> SerialDriver:
    binary = isinstance(spec, FrameSpec)
    written = _hexadecimals if binary else _latin
    return SerialDriver(
        name=table.text("name"),
        title=table.text("title"),
        source=table.text("source"),
        fields=fields,
        period_s=table.positive("period_s", 1),
        decoder=spec.decoder(),
        page=read_page(table.table("page")),
        inline=True,
        line=_read_line(table.table("line")),
        setup=tuple(written(table, "setup")),
        request=b"".join(written(table, "request")),
        timeout_s=table.positive("timeout_s", 1),
    )


def _hexadecimals(table: Table, key: str) -> list[bytes]:
    parts = []
    for text in table.texts(key):
        try:
            parts.append(bytes.fromhex(text))
        except ValueError:
            table.wrong(key, '{value} is not hexadecimal, as in "AA C0"', value=repr(text))
    return parts


def _latin(table: Table, key: str) -> list[bytes]:
    parts = []
    for text in table.texts(key):
        try:
            parts.append(text.encode("latin-1"))
        except UnicodeEncodeError:
            table.wrong(key, "{value} is not latin-1: one byte a character", value=repr(text))
    return parts


def _read_line(table: Table) -> LineSettings:
    settings = LineSettings(
        table.integer("baud", 9600, least=50, most=4_000_000),
        table.one_of("parity", ("N", "E", "O"), "N"),
        table.integer("stop_bits", 1, least=1, most=2),
        table.integer("data_bits", 8, least=5, most=8),
    )
    table.done()
    return settings
