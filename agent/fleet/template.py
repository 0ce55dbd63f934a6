"""Renders a template and a table of gateways into one configuration per gateway, and reads rings. Pure."""

import csv
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from io import StringIO
from string import Template

from agent.base.i18n import _
from agent.config.layers import Tables, local_keys
from agent.config.parse import DriverLookup, Problem, parse_tables

Row = Mapping[str, str]

_GATEWAY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_PLACEHOLDERS = {"site": "site", "sector": "health"}
"""For the check only: these keys are local to the gateway."""


class FleetError(Exception):
    """A template, a table or a ring is invalid; the text says why."""


def parse_table(text: str) -> dict[str, Row]:
    """Parse a CSV into rows by their first column, ``gateway``. Cells are separated by commas, or by semicolons, as
    spreadsheets write them where the comma is the decimal separator. Raises :class:`FleetError`."""
    header = text.partition("\n")[0]
    lines = csv.reader(StringIO(text, newline=""), delimiter="," if "," in header else ";", strict=True)
    table: dict[str, Row] = {}
    try:
        columns = [cell.strip() for cell in next(lines, [])]
        if columns[:1] != ["gateway"] or len(set(columns)) < len(columns):
            raise FleetError(_("the first line must name each column once, starting with gateway"))
        for cells in lines:
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise _line_error(
                    lines.line_num,
                    _("{count} cells, but the first line has {wanted}").format(count=len(cells), wanted=len(columns)),
                )
            row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
            if not _GATEWAY.fullmatch(row["gateway"]):
                raise _line_error(
                    lines.line_num, _("{name} is not a valid gateway id").format(name=repr(row["gateway"]))
                )
            if row["gateway"] in table:
                raise _line_error(lines.line_num, _("{name} occurs twice").format(name=row["gateway"]))
            table[row["gateway"]] = row
    except csv.Error as error:
        raise _line_error(lines.line_num, str(error)) from error
    return table


def parse_ring(text: str) -> tuple[str, ...]:
    """Parse the gateways of a ring, one per line; ``#`` starts a comment."""
    names = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(dict.fromkeys(name for name in names if name))


def rings(parsed: Sequence[tuple[str, ...]], table: Mapping[str, Row]) -> tuple[tuple[str, ...], ...]:
    """Return the rings, each without the gateways of earlier rings, and without empty rings.

    Raises :class:`FleetError` for a gateway that is not in the table, and if no ring contains a gateway.
    """
    unknown = [name for ring in parsed for name in ring if name not in table]
    if unknown:
        raise FleetError(_("not in the table: {names}").format(names=", ".join(unknown)))
    before: set[str] = set()
    distinct = []
    for ring in parsed:
        distinct.append(tuple(name for name in ring if name not in before))
        before.update(ring)
    if not before:
        raise FleetError(_("the rings contain no gateway"))
    return tuple(ring for ring in distinct if ring)


def render(template: str, row: Row) -> Tables:
    """Fill a row's cells into the template and parse the result. Cells are escaped, so none can end a string.

    Raises :class:`FleetError`.
    """
    cells = {name: json.dumps(cell, ensure_ascii=False)[1:-1] for name, cell in row.items()}
    try:
        text = Template(template).substitute(cells)
    except KeyError as error:
        raise FleetError(_("the table has no column {name}").format(name=error.args[0])) from error
    except ValueError as error:
        why = str(error)
        raise FleetError(_("write a column as ${{column}} and a dollar sign as $$ ({why})").format(why=why)) from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FleetError(_("{place} is not valid TOML: {why}").format(place="TEMPLATE", why=error)) from error


def check(gateway: str, config: Tables, catalog: DriverLookup) -> tuple[list[str], list[str]]:
    """Check a configuration; return the errors that prevent sending it, and the other problems."""
    why = _("only the gateway's own files can set this")
    local = [f"{path}: {why}" for path in local_keys(config)]
    if local:
        return local, []
    problems = parse_tables({"gateway": {"id": gateway, **_PLACEHOLDERS}, **config}, catalog).problems
    errors = [str(problem) for problem in problems if _is_error(problem)]
    return errors, [str(problem) for problem in problems if not _is_error(problem)]


def _is_error(problem: Problem) -> bool:
    """Return whether this is an error on every computer. A driver unknown here may be a profile on the gateway."""
    return problem.level == "error" and problem.code != "unknown_driver"


def _line_error(line: int, why: str) -> FleetError:
    return FleetError(_("line {line}: {why}").format(line=line, why=why))
