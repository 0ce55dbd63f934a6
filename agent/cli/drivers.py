"""``gardu drivers [NAME]``: the drivers and profiles of this gateway, and the page of one."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from agent.base.i18n import _
from agent.config.io.catalog import LOCAL_PROFILES, Catalog, DriverBroken, UnknownDriver
from drivers.sdk.bus import I2cDriver, ModbusDriver
from drivers.sdk.contract import Driver, Field, LineSettings, Option, SerialDriver

_OPTION_KINDS = {"line": "str | int"}
"""A GPIO line has a name or an offset."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add ``NAME`` and ``--profiles``."""
    parser.add_argument("name", metavar="NAME", nargs="?", help=_("show the page of this driver"))
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        default=LOCAL_PROFILES,
        help=_("a directory with your own profiles"),
    )


def run(args: Namespace) -> int:
    """Print the list, or a page. Exit status 1: a listed driver is broken; 2: there is no such driver."""
    catalog = Catalog(args.profiles)
    if args.name is None:
        return _print_list(catalog)
    try:
        driver = catalog.get(args.name)
    except (UnknownDriver, DriverBroken) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(page(driver)))
    return 0


def _print_list(catalog: Catalog) -> int:
    status = 0
    names = catalog.names()
    width = max(len(name) for name in names)
    for name in names:
        try:
            print(f"{name:{width}}  {catalog.get(name).title}")
        except DriverBroken as error:
            print(error, file=sys.stderr)
            status = 1
    return status


def page(driver: Driver) -> Iterator[str]:
    """Yield the lines of a driver's page: what it is, how it is connected, what it measures, and its pitfalls."""
    yield from (f"{driver.name}: {driver.title}", _("source: {source}").format(source=driver.source), "")
    if driver.page.about:
        yield from (driver.page.about, "")
    if driver.page.wiring:
        yield from (_("Wiring"), f"  {driver.page.wiring}", "")
    if isinstance(driver, SerialDriver):
        yield from (_("Line"), f"  {_serial(driver)}", "")
    elif isinstance(driver, ModbusDriver):
        yield from (_("Line"), f"  {_modbus(driver)}", "")
    elif isinstance(driver, I2cDriver):
        yield from (_("Address"), f"  {', '.join(f'0x{address:02x}' for address in driver.addresses)}", "")
    if driver.fields:
        yield _("Fields")
        width = max(len(name) for name in driver.fields)
        yield from (f"  {name:{width}}  {_field(field)}".rstrip() for name, field in driver.fields.items())
        yield ""
    if driver.page.pitfalls:
        yield from (_("Pitfalls"), *(f"  - {pitfall}" for pitfall in driver.page.pitfalls), "")
    if driver.options:
        yield from (_("Options"), *(f"  {_option(*option)}" for option in driver.options.items()), "")
    if driver.table_keys:
        yield from (_("Tables"), f"  {', '.join(driver.table_keys)}", "")
    if driver.page.example:
        rows = driver.page.example.strip().splitlines()
        yield from (_("In gardu.toml"), *(f"  {row}".rstrip() for row in rows))


def _serial(driver: SerialDriver) -> str:
    if driver.request:
        return _line(driver.line) + "; " + _("polled every {seconds:g} s").format(seconds=driver.period_s)
    if not driver.period_s:
        return _line(driver.line) + "; " + _("sends when something happens")
    return _line(driver.line) + "; " + _("sends on its own, about every {seconds:g} s").format(seconds=driver.period_s)


def _modbus(driver: ModbusDriver) -> str:
    polled = _("unit {unit}, polled every {seconds:g} s").format(unit=driver.unit, seconds=driver.period_s)
    return f"Modbus TCP; {polled}" if driver.tcp else f"Modbus RTU; {_line(driver.line)}; {polled}"


def _line(line: LineSettings) -> str:
    return _("{baud} baud").format(baud=line.baud) + f", {line.data_bits}{line.parity}{line.stop_bits}"


def _field(field: Field) -> str:
    bounds = f"{_bound(field.min)} .. {_bound(field.max)}" if (field.min, field.max) != (None, None) else ""
    step = _("resolution {step:g}").format(step=field.resolution) if field.resolution else ""
    kind = "" if field.kind == "gauge" else field.kind
    private = _("published as a keyed hash") if field.identifier else _("never published") if field.personal else ""
    return f"{field.unit:8}" + ", ".join(part for part in (kind, bounds, step, private) if part)


def _bound(bound: float | None) -> str:
    return "" if bound is None else f"{bound:g}"


def _option(name: str, option: Option) -> str:
    default = "" if option.default in (None, "") else _(" (default {value})").format(value=option.default)
    if option.required:
        default = _(" (required)")
    kind = " | ".join(option.choices) if option.choices else _OPTION_KINDS.get(option.type, option.type)
    return f"{name}: {kind}{default}. {option.doc}"
