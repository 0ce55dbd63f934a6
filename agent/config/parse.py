"""``gardu.toml``: from bytes to a checked :class:`~agent.config.settings.Config`, or every reason why not.

Pure: nothing is opened, and no file that the configuration names is looked for. The drivers that exist come in as
values, through :class:`DriverLookup`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.base.i18n import _
from agent.config.rules.keys import check_rules
from agent.config.rules.pending import warn_pending
from agent.config.settings import Config, Sensor
from drivers.sdk.contract import Driver, Value
from drivers.sdk.tables.problem import Problem, Report
from drivers.sdk.tables.reader import keys_of, labels, parse_option, parse_table
from drivers.sdk.tables.toml import MAX_BYTES, parse_toml
from drivers.sdk.tables.words import shown

__all__ = ["MAX_BYTES", "Config", "DriverLookup", "Parsed", "Problem", "parse", "parse_tables"]


class DriverLookup(Protocol):
    """The drivers and profiles that are installed."""

    def names(self) -> Collection[str]:
        """Return the name of every driver. May be slow: only a mistake asks for it."""

    def get(self, name: str) -> Driver:
        """Return the driver. Raises :class:`LookupError` where there is none of this name, and :class:`ValueError`
        with a single clear line where there is one that cannot be used."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """``config`` is there exactly when no problem is an error.

    ``drivers``: the driver of each sensor, by its id. ``installed``: the drivers of the catalog that they are or were
    built from, by name.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    installed: Mapping[str, Driver] = field(default_factory=dict)


def parse(raw: bytes, catalog: DriverLookup) -> Parsed:
    """Parse a TOML file; report every problem at once, with its line. Raises nothing, whatever the bytes."""
    report = Report()
    tables = parse_toml(raw, report)
    if tables is None:
        return Parsed(None, report.problems())
    parsed = parse_tables(tables, catalog, report)
    if not parsed.problems:
        return parsed
    from drivers.sdk.tables.lines import with_lines  # only a problem has a line

    return replace(parsed, problems=with_lines(parsed.problems, raw.decode()))


def parse_tables(tables: Mapping[str, object], catalog: DriverLookup, report: Report | None = None) -> Parsed:
    """Parse a configuration that is already split into tables, wherever it came from. Its problems have no lines."""
    report = report or Report()
    config = parse_table(Config, {key: table for key, table in tables.items() if key != "sensor"}, "", report)
    drivers: dict[str, Driver] = {}
    installed: dict[str, Driver] = {}
    sensors = _parse_sensors(tables.get("sensor", []), _CachedCatalog(catalog, installed), drivers, report)
    config = replace(config, sensor=sensors)
    check_rules(config, drivers, report)
    warn_pending(tables, report)
    if report.failed:
        return Parsed(None, report.problems())
    return Parsed(config, report.problems(), drivers, installed)


class _CachedCatalog:
    """A catalog that is asked for each driver only once, so that all its sensors have the same value."""

    def __init__(self, catalog: DriverLookup, found: dict[str, Driver]) -> None:
        self._catalog = catalog
        self._found = found

    def names(self) -> Collection[str]:
        return self._catalog.names()

    def get(self, name: str) -> Driver:
        if name not in self._found:
            self._found[name] = self._catalog.get(name)
        return self._found[name]


def _parse_sensors(
    value: object, catalog: DriverLookup, drivers: dict[str, Driver], report: Report
) -> tuple[Sensor, ...]:
    """Return the sensors with their drivers' own keys. ``drivers`` is filled with their drivers, by sensor id."""
    entries = value if isinstance(value, list) else [value]
    tables = [entry for entry in entries if isinstance(entry, dict)]
    if len(tables) < len(entries) or not isinstance(value, list):
        hint = _("start each entry with [[{table}]]").format(table="sensor")
        report.error("sensor", "type", _("expected a list of tables"), hint)
        return ()
    names = labels("sensor", [table.get("id") for table in tables])
    return tuple(
        _parse_sensor(table, path, catalog, drivers, report) for path, table in zip(names, tables, strict=True)
    )


def _parse_sensor(
    table: Mapping[str, object], path: str, catalog: DriverLookup, drivers: dict[str, Driver], report: Report
) -> Sensor:
    driver = _find_driver(table, path, catalog, report)
    if driver is None:
        # The driver's keys are unknown; a key that resembles "driver" is its misspelt name.
        others = [key for key in table if "driver" in table or not report.close(key, ("driver",))]
        return parse_table(Sensor, table, path, report, others)
    common = keys_of(Sensor)
    # A driver's own key never replaces a common one.
    own = {key: option for key, option in driver.options.items() if key not in common}
    sensor = parse_table(Sensor, table, path, report, (*own, *driver.table_keys))
    options: dict[str, Value] = {
        key: option.default for key, option in driver.options.items() if option.default is not None
    }
    for key, option in own.items():
        if key in table:
            options[key] = parse_option(option, table[key], f"{path}.{key}", report)
        elif option.required:
            report.missing_key(f"{path}.{key}", option.doc)
    built: Driver | None = driver
    if driver.table is not None:
        built = driver.table({key: table[key] for key in driver.table_keys if key in table}, path, report)
    if built is not None:
        drivers[sensor.id] = built
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
