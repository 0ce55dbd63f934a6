"""``gardu drivers [NAME]``: the drivers and profiles of this gateway, and the page of one."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from agent.core.text import say
from agent.edges.catalog import LOCAL_PROFILES, Catalog, DriverBroken, UnknownDriver
from drivers.sdk.contract import Driver, Field, Option, SerialDriver


def add_arguments(parser: ArgumentParser) -> None:
    """The arguments of ``gardu drivers``."""
    parser.add_argument("name", metavar="NAME", nargs="?", help=say("show the page of this one"))
    parser.add_argument(
        "--profiles",
        metavar="DIR",
        type=Path,
        default=LOCAL_PROFILES,
        help=say("a directory of your own profiles"),
    )


def run(args: Namespace) -> int:
    """Print the list, or a page; 1 where a listed driver is broken, 2 for a name that is not there."""
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
    """The lines of a driver's page: what it is, how it is wired, what it measures, what to beware of."""
    yield from (f"{driver.name}: {driver.title}", say("source: {source}", source=driver.source), "")
    if driver.page.about:
        yield from (driver.page.about, "")
    if driver.page.wiring:
        yield from (say("Wiring"), f"  {driver.page.wiring}", "")
    if isinstance(driver, SerialDriver):
        yield from (say("Line"), f"  {_line(driver)}", "")
    yield say("Fields")
    width = max((len(name) for name in driver.fields), default=0)
    yield from (f"  {name:{width}}  {_field(field)}".rstrip() for name, field in driver.fields.items())
    if driver.page.pitfalls:
        yield from ("", say("Beware"), *(f"  - {pitfall}" for pitfall in driver.page.pitfalls))
    if driver.options:
        yield from ("", say("Options"), *(f"  {_option(*each)}" for each in driver.options.items()))
    if driver.page.example:
        yield from (
            "",
            say("In gardu.toml"),
            *(f"  {row}" for row in driver.page.example.strip().splitlines()),
        )


def _line(driver: SerialDriver) -> str:
    line = driver.line
    settings = say("{baud} baud", baud=line.baud) + f", {line.data_bits}{line.parity}{line.stop_bits}"
    if driver.request:
        return settings + "; " + say("asked every {seconds:g} s", seconds=driver.period_s)
    return settings + "; " + say("sends by itself, about every {seconds:g} s", seconds=driver.period_s)


def _field(field: Field) -> str:
    bounds = f"{_bound(field.min)} .. {_bound(field.max)}" if (field.min, field.max) != (None, None) else ""
    step = say("step {step:g}", step=field.resolution) if field.resolution else ""
    kind = "" if field.kind == "gauge" else field.kind
    return f"{field.unit:8}" + ", ".join(part for part in (kind, bounds, step) if part)


def _bound(bound: float | None) -> str:
    return "" if bound is None else f"{bound:g}"


def _option(name: str, option: Option) -> str:
    default = "" if option.default in (None, "") else say(" (default {value})", value=option.default)
    return f"{name}: {option.type}{default}. {option.doc}"
