"""Drivers that are built from tables of the configuration."""

import tomllib
from collections.abc import Mapping

from drivers.sdk.contract import Driver
from drivers.sdk.tables.problem import Problem, Report


def built(generic: Driver, tables: str | Mapping[str, object]) -> Driver:
    """Return the driver that the tables (TOML, or parsed) make of a generic one."""
    driver, problems = attempt(generic, tables)
    assert driver is not None, problems
    return driver


def attempt(generic: Driver, tables: str | Mapping[str, object]) -> tuple[Driver | None, tuple[Problem, ...]]:
    """Return the driver, or None, and the problems."""
    assert generic.table is not None
    report = Report()
    driver = generic.table(tomllib.loads(tables) if isinstance(tables, str) else tables, "", report)
    return driver, report.problems()
