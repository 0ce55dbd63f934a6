"""A configuration as a value: built once; the same object is checked, stored, run, planned and reported. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.base.codes import Rejection
from agent.base.errors import INTERNAL_ERROR, RejectedError
from agent.base.guard import unexpected
from agent.base.i18n import _
from agent.config import parse as configuration
from agent.config.generation import Cause, Generation
from agent.config.layers import Tables, merged
from agent.config.missing import parse_remaining
from agent.config.parse import DriverLookup, Parsed, Problem
from agent.config.settings import Config
from drivers.sdk.contract import Driver

# The code for signed documents is loaded when there is one: most gateways run for months without.
if TYPE_CHECKING:
    from agent.config.document import Document

_IMPOSSIBLE = frozenset(
    {
        "address",
        "duplicate_id",
        "family",
        "no_output",
        "no_port",
        "no_time",
        "not_shared",
        "port_and_bus",
        "port_shared",
        "unknown_bus",
        "unknown_field",
        "unknown_sensor",
    }
)
"""Codes of problems of a well-formed file that describes impossible devices."""


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """What a generation means on this gateway.

    ``drivers``: by sensor id. ``installed``: the drivers of the catalog that they are or were built from, by name.
    ``tables``: the merged tables of ``settings``. ``drift``: the paths that ``local.toml`` overrides. ``document``: the
    accepted payload, if the generation has one. ``missing``: why some sensors were left out.
    """

    generation: Generation
    settings: Config
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    installed: Mapping[str, Driver] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    document: "Document | None" = None
    missing: tuple[str, ...] = ()

    @property
    def degraded(self) -> Cause | None:
        """Why some of its sensors are missing, as a cause to report; ``None`` if none is."""
        if not self.missing:
            return None
        return Cause(Rejection.DEGRADED, "; ".join(self.missing)[:500], self.missing[0].partition(":")[0])

    def without_sensors(self) -> "ResolvedConfig":
        """Return the same gateway without sensors and alarms."""
        tables = {name: table for name, table in self.tables.items() if name not in ("sensor", "alarm")}
        settings = replace(self.settings, sensor=(), alarm=())
        return replace(self, settings=settings, drivers={}, installed={}, tables=tables)


def resolve(
    generation: Generation, catalog: DriverLookup, document: "Document | None" = None, *, remaining: bool = False
) -> ResolvedConfig:
    """Build the configuration of a generation. Raises :class:`RejectedError`, whatever a driver, a profile or a stored
    payload does: ``schema``, ``driver_unknown``, ``device_impossible``, ``internal_error``, and those of a document.

    ``document``: the generation's payload where it was parsed before. ``remaining``: it was accepted once, so leave out
    the sensors that cannot be built here now.
    """
    try:
        return _resolved(generation, catalog, document, remaining)
    except RejectedError:
        raise
    except Exception as error:
        unexpected("a configuration", error)
        raise RejectedError(INTERNAL_ERROR, _("internal error: {why}").format(why=repr(error)[:200])) from error


def _resolved(
    generation: Generation, catalog: DriverLookup, document: "Document | None", remaining: bool
) -> ResolvedConfig:
    if document is None and generation.payload:
        from agent.config.document import parse_document

        document = parse_document(generation.payload.encode())
    base, overlay = _tables(generation.base, "gardu.toml"), _tables(generation.overlay, "local.toml")
    whole = merged(base, None if document is None else document.config, overlay)
    tables = whole.tables
    missing: tuple[str, ...] = ()
    if remaining:
        rest = parse_remaining(tables, catalog)
        parsed, tables, missing = rest.parsed, rest.tables, tuple(str(problem) for problem in rest.missing)
    else:
        parsed = configuration.parse_tables(tables, catalog)
    if parsed.config is None:
        raise _refusal(parsed, local=document is None)
    return ResolvedConfig(
        generation, parsed.config, parsed.drivers, parsed.installed, tables, whole.drift, document, missing
    )


def _tables(text: str, name: str) -> Tables:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RejectedError(
            Rejection.SCHEMA, _("{place} is not valid TOML: {why}").format(place=name, why=error), ""
        ) from error


def _refusal(parsed: Parsed, *, local: bool) -> RejectedError:
    """The first error in the order of the checks: what is badly written, then drivers, then devices. ``local``: of the
    gateway's own files, whose code is always the same."""
    problems = [problem for problem in parsed.problems if problem.level == "error"]
    if local:
        return RejectedError(Rejection.SCHEMA, problems[0].message, problems[0].path)
    coded = [(_code(problem), problem) for problem in problems]
    for code in ("schema", "driver_unknown", "device_impossible"):
        for found, problem in coded:
            if found == code:
                return RejectedError(code, str(problem).removeprefix(f"{problem.path}: "), problem.path)
    raise AssertionError("a configuration is refused for a reason")


def _code(problem: Problem) -> str:
    if problem.code in ("unknown_driver", "broken_driver"):
        return "driver_unknown"
    return "device_impossible" if problem.code in _IMPOSSIBLE else "schema"
