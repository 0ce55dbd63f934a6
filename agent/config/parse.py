"""``gardu.toml``: from bytes to a checked :class:`~agent.config.settings.Config`, or every reason why not.

Pure: nothing is opened, and no file that the configuration names is looked for. The drivers that exist come
in as values, through :class:`DriverLookup`.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.base.i18n import _
from agent.config.problems import Problem, Report
from agent.config.rules.keys import check_rules
from agent.config.rules.pending import warn_pending
from agent.config.settings import Config, Sensor
from agent.config.values import keys_of, labels, read_option, read_table, unknown_key
from agent.config.words import shown
from drivers.sdk.contract import Driver, Value

__all__ = ["MAX_BYTES", "Config", "DriverLookup", "Parsed", "Problem", "parse", "read"]

MAX_BYTES = 1_048_576
"""A longer file is refused unread."""


class DriverLookup(Protocol):
    """The drivers and profiles that are installed."""

    def names(self) -> Collection[str]:
        """Every driver's name. May be slow: only a mistake asks for it."""

    def get(self, name: str) -> Driver:
        """The driver. Raises :class:`LookupError` where there is none of this name, and :class:`ValueError`
        with one clear line where there is one that cannot be used."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """``config`` is there exactly when no problem is an error. ``drivers``: the driver of each sensor, by its id;
    ``installed``: those of the catalog that they are or were made of, by name."""

    config: Config | None
    problems: tuple[Problem, ...]
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    installed: Mapping[str, Driver] = field(default_factory=dict)


def parse(raw: bytes, catalog: DriverLookup) -> Parsed:
    """Read a TOML file: every problem at once. Raises nothing, whatever the bytes."""
    report = Report()
    tables = _toml(raw, report)
    return Parsed(None, report.problems()) if tables is None else read(tables, catalog, report)


def read(tables: Mapping[str, object], catalog: DriverLookup, report: Report | None = None) -> Parsed:
    """Read a configuration that is already split into tables, from wherever it came."""
    report = report or Report()
    config = read_table(Config, {key: table for key, table in tables.items() if key != "sensor"}, "", report)
    drivers: dict[str, Driver] = {}
    installed: dict[str, Driver] = {}
    sensors = _read_sensors(tables.get("sensor", []), _Remembering(catalog, installed), drivers, report)
    config = replace(config, sensor=sensors)
    check_rules(config, drivers, report)
    warn_pending(tables, report)
    if report.failed:
        return Parsed(None, report.problems())
    return Parsed(config, report.problems(), drivers, installed)


class _Remembering:
    """A catalog that is asked for each driver once, so that all its sensors have the same one."""

    def __init__(self, catalog: DriverLookup, found: dict[str, Driver]) -> None:
        self._catalog = catalog
        self._found = found

    def names(self) -> Collection[str]:
        return self._catalog.names()

    def get(self, name: str) -> Driver:
        if name not in self._found:
            self._found[name] = self._catalog.get(name)
        return self._found[name]


def _toml(raw: bytes, report: Report) -> dict[str, object] | None:
    if len(raw) > MAX_BYTES:
        hint = _("at most {count} bytes").format(count=MAX_BYTES)
        report.error("", "too_large", _("the file is {count} bytes long").format(count=len(raw)), hint)
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        message = _("the file starts with a byte order mark")
        report.error("", "encoding", message, _("save it as UTF-8 without a byte order mark"))
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        report.error("", "encoding", _("line {line} is not UTF-8").format(line=line), _("save it as UTF-8"))
        return None
    try:
        return tomllib.loads(text)
    except ValueError as error:
        _syntax(text, str(error), report)
    except RecursionError:
        report.error("", "syntax", _("the file is nested too deeply"))
    return None


def _syntax(text: str, why: str, report: Report) -> None:
    """Report a TOML error; the line and column stand in tomllib's words, except for the end of the file."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", why, flags=re.DOTALL)
    if found:
        why, line, column = found[1], int(found[2]), int(found[3])
    else:
        why = why.removesuffix(" (at end of document)")
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    place = _("line {line}, column {column}").format(line=line, column=column)
    report.error("", "syntax", _("{place} is not valid TOML: {why}").format(place=place, why=why[:200]))


def _read_sensors(
    value: object, catalog: DriverLookup, drivers: dict[str, Driver], report: Report
) -> tuple[Sensor, ...]:
    """The sensors with their drivers' own keys. ``drivers`` is filled with the sensors' drivers, by sensor id."""
    entries = value if isinstance(value, list) else [value]
    tables = [entry for entry in entries if isinstance(entry, dict)]
    if len(tables) < len(entries) or not isinstance(value, list):
        hint = _("start each entry with [[{table}]]").format(table="sensor")
        report.error("sensor", "type", _("expected a list of tables"), hint)
        return ()
    names = labels("sensor", [table.get("id") for table in tables])
    return tuple(_read_sensor(table, path, catalog, drivers, report) for path, table in zip(names, tables, strict=True))


def _read_sensor(
    table: Mapping[str, object],
    path: str,
    catalog: DriverLookup,
    drivers: dict[str, Driver],
    report: Report,
) -> Sensor:
    common = keys_of(Sensor)
    sensor = read_table(Sensor, {key: table[key] for key in table if key in common}, path, report)
    driver = _find_driver(table, path, catalog, report)
    if driver is None:
        return sensor  # what its own keys would be is not known
    options: dict[str, Value] = {
        key: option.default for key, option in driver.options.items() if option.default is not None
    }
    for key in [key for key in table if key not in common]:
        if key in driver.options:
            options[key] = read_option(driver.options[key], table[key], f"{path}.{key}", report)
        elif key not in driver.table_keys:
            unknown_key(key, (*common, *driver.options, *driver.table_keys), path, report)
    for key, option in driver.options.items():
        if option.required and key not in table:
            report.error(f"{path}.{key}", "missing", _("missing key"), option.doc)
    made = driver if driver.table is None else _made(driver, table, path, report)
    if made is not None:
        drivers[sensor.id] = made
    return replace(sensor, options=options)


def _find_driver(table: Mapping[str, object], path: str, catalog: DriverLookup, report: Report) -> Driver | None:
    name = table.get("driver")
    if not isinstance(name, str) or not name:
        return None
    try:
        return catalog.get(name)
    except LookupError:
        message = _("unknown driver {value}").format(value=shown(name[:64]))
        hint = report.near(name, catalog.names(), _("run gardu drivers to list them"))
        report.error(f"{path}.driver", "unknown_driver", message, hint)
    except ValueError as error:
        report.error(f"{path}.driver", "broken_driver", str(error))
    return None


def _made(driver: Driver, table: Mapping[str, object], path: str, report: Report) -> Driver | None:
    """The driver that the sensor's own tables make of a generic one."""
    from drivers.sdk.profile_table import ProfileError

    assert driver.table is not None
    try:
        return driver.table({key: table[key] for key in driver.table_keys if key in table})
    except ProfileError as error:
        for problem in error.problems:
            where = f"{path}.{problem.path}" if problem.path else path
            report.error(where, "table", _(problem.sentence).format(**problem.values))
        return None
