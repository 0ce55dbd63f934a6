"""A device as a TOML file: :func:`load_profile` makes a driver of it.

A profile says how the line is set, how a frame or line is recognised and checked, what stands where in it and with
which unit, when a value is doubtful, and what a person should know about the device. Its examples test it, and its
``[sim]`` table makes the simulator. docs/drivers.md shows how to write one.

The same tables may stand in the configuration, for the generic drivers: :func:`build_from_tables`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from drivers.sdk.contract import Driver, SerialDriver
from drivers.sdk.messages import _
from drivers.sdk.profiles.head import Example, Head, Sim, build_examples, build_page, check_head
from drivers.sdk.profiles.kind import KINDS, Device, DeviceKind
from drivers.sdk.tables.limits import Limit
from drivers.sdk.tables.problem import Problem, Report
from drivers.sdk.tables.reader import keys_of, parse_table
from drivers.sdk.tables.toml import parse_toml

_MAX_SHOWN = 3
_PROFILE_ONLY = ("unit", "line")
"""Keys of a kind that a sensor has under the same name, or as several keys."""


class ProfileError(ValueError):
    """A profile cannot be used. ``origin``: its file; ``problems``: all that is wrong with it. Its text is one line."""

    def __init__(self, origin: str, problems: tuple[Problem, ...]) -> None:
        self.origin = origin
        self.problems = problems
        text = "; ".join(problem.located(origin) for problem in problems[:_MAX_SHOWN])
        if len(problems) > _MAX_SHOWN:
            text += "; " + _("and {count} more problems").format(count=len(problems) - _MAX_SHOWN)
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Profile:
    """A whole profile. The agent keeps only ``driver``; the rest is for tests, pages and simulators.

    ``spec``: a FrameSpec, LineSpec, RegisterSpec or I2cSpec, according to its kind.
    """

    driver: Driver
    spec: object
    examples: tuple[Example, ...]
    sim: Sim


@dataclass(frozen=True, slots=True)
class SensorLine:
    """The key of a sensor with a generic serial driver that no other sensor has."""

    data_bits: Annotated[int, Limit(min=5, max=8)] = 8


def load_profile(raw: bytes, origin: str) -> Driver:
    """Return the driver of a profile. ``origin``: its file. Raises ProfileError with everything that is wrong."""
    return parse_profile(raw, origin).driver


def parse_profile(raw: bytes, origin: str) -> Profile:
    """Return a profile with its examples and its simulator's values. Raises ProfileError."""
    report = Report()
    content = parse_toml(raw, report)
    profile = None if content is None else _parse(content, report)
    if profile is not None:
        return profile
    problems = report.problems()
    if content is not None:
        from drivers.sdk.tables.lines import with_lines  # only a problem has a line

        problems = with_lines(problems, raw.decode())
    raise ProfileError(origin, problems)


def table_keys(kind: str) -> tuple[str, ...]:
    """Return the keys of a kind that a sensor with its generic driver may have beside the common ones."""
    keys = tuple(key for key in keys_of(device_kind(kind).tables) if key not in _PROFILE_ONLY)
    return (*keys, *keys_of(SensorLine)) if kind.startswith("serial_") else keys


def build_from_tables(
    kind: str, generic: Driver, tables: Mapping[str, object], path: str, report: Report
) -> Driver | None:
    """Return the generic driver with what its tables in the sensor at ``path`` say; None after reporting an error."""
    described = device_kind(kind)
    parsed = parse_table(described.tables, tables, path, report, keys_of(SensorLine))
    line = parse_table(SensorLine, tables, path, report, keys_of(described.tables))
    described.check(parsed, path, report)
    if not report.sound(*(f"{path}.{key}" if path else key for key in generic.table_keys)):
        return None
    driver = _complete(described.build(parsed), generic)
    if isinstance(driver, SerialDriver):
        return replace(driver, line=replace(driver.line, data_bits=line.data_bits))
    return driver


def device_kind(kind: str) -> DeviceKind[Any]:
    """Return what parses a kind. A kind that no sensor has costs no memory."""
    if kind == "i2c":
        from drivers.sdk.profiles.i2c import I2C

        return I2C
    if kind == "serial_frame":
        from drivers.sdk.profiles.frames import SERIAL_FRAME

        return SERIAL_FRAME
    if kind == "serial_line":
        from drivers.sdk.profiles.lines import SERIAL_LINE

        return SERIAL_LINE
    from drivers.sdk.profiles.modbus import MODBUS, MODBUS_TCP

    return MODBUS_TCP if kind == "modbus_tcp" else MODBUS


def _parse(content: Mapping[str, object], report: Report) -> Profile | None:
    kind = content.get("kind")
    if kind not in KINDS:
        parse_table(Head, content, "", report, tuple(content))  # the keys of an unknown kind are unknown
        return None
    described = device_kind(kind)
    head = parse_table(Head, content, "", report, keys_of(described.tables))
    tables = parse_table(described.tables, content, "", report, content)
    described.check(tables, "", report)
    check_head(head, tables.fields, report)
    if report.failed:
        return None
    device: Device[object] = described.build(tables)
    driver = device.driver(name=head.name, title=head.title, source=head.source, page=build_page(head.page))
    return Profile(driver, device.spec, build_examples(head), Sim(head.sim.values, head.sim.template))


def _complete(device: Device[object], generic: Driver) -> Driver:
    return device.driver(name=generic.name, title=generic.title, source=generic.source, page=generic.page)
