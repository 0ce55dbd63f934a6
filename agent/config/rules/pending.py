"""Keys that are accepted and have no effect yet. A new feature removes its keys from this table."""

from collections.abc import Mapping

from agent.base.i18n import _
from drivers.sdk.tables.problem import Report
from drivers.sdk.tables.reader import labels

PENDING: Mapping[str, object] = {
    "publish.budget_bytes_per_day": 0,
    "store.max_age_days": None,
    "web.*": None,
    "alarm": None,
    "sensor.aggregate": "last",
    "sensor.deadband": None,
    "sensor.heartbeat_s": None,
}
"""Key -> the value that describes what the agent does anyway, without a warning. ``.*``: all keys of the table."""


def warn_pending(tables: Mapping[str, object], report: Report) -> None:
    """Warn about each key of the file that has no effect yet."""
    for name, table in tables.items():
        if isinstance(table, dict):
            _warn_keys(name, name, table, report)
        elif isinstance(table, list):
            entries = [entry for entry in table if isinstance(entry, dict)]
            paths = labels(name, [entry.get("id") for entry in entries])
            for label, entry in zip(paths, entries, strict=True):
                _warn_keys(name, label, entry, report)


def _warn_keys(name: str, label: str, table: Mapping[str, object], report: Report) -> None:
    if name in PENDING:
        report.warn(label, "no_effect", _("this key has no effect yet"))
        return
    for key, value in table.items():
        rule = f"{name}.{key}" if f"{name}.{key}" in PENDING else f"{name}.*"
        where = f"{label}.{key}"
        if rule in PENDING and value != PENDING[rule] and not report.wrong(where):
            report.warn(where, "no_effect", _("this key has no effect yet"))
