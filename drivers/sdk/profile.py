"""A device as a TOML file: ``load_profile`` makes a driver of it.

A profile says how the line is set, how a frame or line is recognised and proven, what stands where in it and
with which unit, when a value is to be doubted, and what a person should know about the device. Its examples
test it, and its ``[sim]`` table makes the simulator. docs/drivers.md shows how one is written.

The same tables may stand in the configuration, for the generic drivers: :func:`tabled`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from drivers.sdk.contract import Driver, LineSettings
from drivers.sdk.profile_fields import Made
from drivers.sdk.profile_page import Example, Sim, read_examples, read_page, read_sim
from drivers.sdk.profile_table import ProfileError, ProfileProblem, Table

KINDS = ("serial_frame", "serial_line", "modbus", "modbus_tcp", "i2c")


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, read whole. The agent keeps only ``driver``; the rest is for tests, pages and simulators.

    ``spec``: a FrameSpec, LineSpec, RegisterSpec or I2cSpec, by its kind.
    """

    driver: Driver
    spec: object
    examples: tuple[Example, ...]
    sim: Sim


def load_profile(raw: bytes, origin: str) -> Driver:
    """The driver of a profile; ``origin``: its file. Raises ProfileError with all that is wrong."""
    return read_profile(raw, origin).driver


def read_profile(raw: bytes, origin: str) -> Profile:
    """A profile with its examples and its simulator's values. Raises ProfileError."""
    try:
        content = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProfileError(origin, [ProfileProblem("", "not valid TOML: {why}", {"why": error})]) from error
    problems: list[ProfileProblem] = []
    table = Table(content, "", problems)
    made = _read_kind(table.one_of("kind", KINDS), table, _read_line(table.table("line")))
    driver = made.driver(
        name=table.text("name"),
        title=table.text("title"),
        source=table.text("source"),
        period_s=_read_period(table),
        page=read_page(table.table("page")),
    )
    profile = Profile(driver, made.spec, read_examples(table), read_sim(table, made.fields))
    table.done()
    if problems:
        from drivers.sdk.toml_lines import line_of

        text = raw.decode()
        raise ProfileError(origin, [replace(each, line=line_of(text, each.path)) for each in problems])
    return profile


def tabled(kind: str, generic: Driver, tables: Mapping[str, object]) -> Driver:
    """The generic driver with what its tables in the configuration say. Raises ProfileError."""
    problems: list[ProfileProblem] = []
    table = Table(tables, "", problems)
    bits = table.integer("data_bits", 8, least=5, most=8)
    made = _read_kind(kind, table, LineSettings(data_bits=bits))
    driver = made.driver(
        name=generic.name,
        title=generic.title,
        source=generic.source,
        period_s=_read_period(table),
        page=generic.page,
    )
    table.done()
    if problems:
        raise ProfileError(generic.name, problems)
    return driver


def _read_period(table: Table) -> float:
    """0 where the device speaks only when something happens."""
    return 0.0 if table.raw("period_s") == 0 and "event" in table else table.positive("period_s", 1)


def _read_kind(kind: str, table: Table, line: LineSettings) -> Made[object]:
    """What the tables of a kind say. A kind that no sensor has costs no memory."""
    if kind == "i2c":
        from drivers.sdk.profile_i2c import i2c

        return i2c(table, line)
    if kind in ("modbus", "modbus_tcp"):
        from drivers.sdk.profile_modbus import modbus

        return modbus(table, line, tcp=kind == "modbus_tcp")
    from drivers.sdk.profile_serial import serial_frame, serial_line

    return serial_frame(table, line) if kind == "serial_frame" else serial_line(table, line)


def _read_line(table: Table) -> LineSettings:
    settings = LineSettings(
        table.integer("baud", 9600, least=50, most=4_000_000),
        table.one_of("parity", ("N", "E", "O"), "N"),
        table.integer("stop_bits", 1, least=1, most=2),
        table.integer("data_bits", 8, least=5, most=8),
    )
    table.done()
    return settings
