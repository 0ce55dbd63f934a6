"""Checks that a name in a table is one that is known."""

from collections.abc import Collection

from drivers.sdk.messages import _
from drivers.sdk.tables.problem import Report

_MAX_SHOWN = 20


def check_known(path: str, code: str, name: str, known: Collection[str], report: Report) -> bool:
    """Report a name that is not among the known ones; return whether it is."""
    if name in known:
        return True
    if not report.wrong(path):
        names = ", ".join(sorted(known)[:_MAX_SHOWN]) or "-"
        hint = report.near(name, known, _("defined here: {names}").format(names=names))
        report.error(path, code, _('"{name}" does not exist').format(name=name[:64]), hint)
    return False
