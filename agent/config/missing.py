"""An accepted configuration at a start at which not all of it can be built. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.config.parse import DriverLookup, Parsed, Problem, parse_tables
from drivers.sdk.tables.reader import labels

Tables = Mapping[str, object]

_LISTS = ("sensor", "alarm")


@dataclass(frozen=True, slots=True)
class Remaining:
    """``parsed``: what is left without the entries that ``missing`` is about; parsed from ``tables``."""

    parsed: Parsed
    tables: Tables
    missing: tuple[Problem, ...]


def parse_remaining(tables: Tables, catalog: DriverLookup) -> Remaining:
    """Parse tables without the sensors that cannot be built here (their driver or profile is gone, or has changed), and
    without the alarms that need these sensors. If anything else is wrong, ``parsed`` has no configuration."""
    missing: list[Problem] = []
    while True:
        parsed = parse_tables(tables, catalog)
        errors = [problem for problem in parsed.problems if problem.level == "error"]
        less = _without(tables, errors)
        if parsed.config is not None or less is None:
            return Remaining(parsed, tables, tuple(missing))
        missing += [problem for problem in errors if problem.path.startswith("sensor")]
        tables = less


def _without(tables: Tables, errors: list[Problem]) -> Tables | None:
    """Return the tables without the entries that the errors are about; ``None`` if an error is about anything else."""
    result = dict(tables)
    rest = {problem.path for problem in errors if problem.code != "more"}
    for name in _LISTS:
        entries = tables.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            continue
        kept = []
        for label, entry in zip(labels(name, [entry.get("id") for entry in entries]), entries, strict=True):
            about = {path for path in rest if path == label or path.startswith((f"{label}.", f"{label}["))}
            rest -= about
            if not about:
                kept.append(entry)
        result[name] = kept
    if "clock.source" in rest and isinstance(tables.get("clock"), dict):
        rest.discard("clock.source")
        result["clock"] = {key: value for key, value in tables["clock"].items() if key != "source"}  # type: ignore[attr-defined]
    return None if rest or result == tables else result
