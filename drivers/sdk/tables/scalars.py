"""Checks a single value of a table: a choice, a string or a number."""

import re
from collections.abc import Sequence
from math import isfinite

from drivers.sdk.messages import _
from drivers.sdk.tables.limits import Limit
from drivers.sdk.tables.problem import Report
from drivers.sdk.tables.words import CONTROL, expected, listed_choices, shown

WRONG = object()
"""Stands for a value that was reported as wrong."""

_MAX_CHARS = 1024
_MAX_LINES_CHARS = 65_536


def is_number(value: object) -> bool:
    """Return whether a value is a number; ``true`` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def wrong_type(value: object, hint: str, path: str, report: Report) -> object:
    """Report a value of the wrong type; return :data:`WRONG`."""
    report.error(path, "type", _("{value} has the wrong type").format(value=shown(value)), hint)
    return WRONG


def parse_choice(choices: Sequence[object], value: object, path: str, report: Report, limit: Limit) -> object:
    """Return one of the choices, or report and return :data:`WRONG`."""
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return value
    near = ""
    if isinstance(value, str):
        near = report.near(value, [choice for choice in choices if isinstance(choice, str)])
    right = _(limit.means) if limit.means else listed_choices(choices)
    message = _("{value} is not one of {choices}").format(value=shown(value), choices=right)
    if limit.means:
        message = _("{value} is not {right}").format(value=shown(value), right=right)
    report.error(path, "choice", message, near)
    return WRONG


def parse_text(limit: Limit, value: str, path: str, report: Report) -> object:
    """Return a string, or report and return :data:`WRONG`."""
    longest = _MAX_LINES_CHARS if limit.multiline or limit.control else _MAX_CHARS
    if len(value) > longest:
        message = _("this text is too long")
        report.error(path, "length", message, _("at most {count} characters").format(count=longest))
        return WRONG
    checked = re.sub("[\r\n]", "", value) if limit.multiline else value
    if not limit.control and CONTROL.search(checked):
        report.error(path, "pattern", _("{value} contains a control character").format(value=shown(value)))
        return WRONG
    if limit.pattern and re.fullmatch(limit.pattern, value) is None:
        message = _("{value} is not allowed here").format(value=shown(value))
        report.error(path, "pattern", message, expected(str, limit))
        return WRONG
    return value


def parse_number(hint: object, limit: Limit, value: float, path: str, report: Report) -> object:
    """Return a number of the type ``hint``, or report and return :data:`WRONG`."""
    if isinstance(value, float) and not isfinite(value):
        message = _("{value} is not a finite number").format(value=shown(value))
        report.error(path, "not_finite", message, expected(hint, limit))
        return WRONG
    too_low = (limit.min is not None and value < limit.min) or (limit.above is not None and value <= limit.above)
    too_high = limit.max is not None and value > limit.max
    if too_low or too_high or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        message = _("{value} is out of range").format(value=shown(value))
        report.error(path, "range", message, expected(hint, limit))
        return WRONG
    return float(value) if hint is float else value
