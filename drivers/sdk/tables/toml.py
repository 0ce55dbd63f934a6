"""TOML text as tables, or the reason why it is none."""

import re
import tomllib

from drivers.sdk.messages import _
from drivers.sdk.tables.problem import Report

MAX_BYTES = 1_048_576
"""A longer file is rejected unread."""


def parse_toml(raw: bytes, report: Report) -> dict[str, object] | None:
    """Return the tables of a file; ``None`` after reporting what is wrong with it. Raises nothing on any bytes."""
    if len(raw) > MAX_BYTES:
        hint = _("at most {count} bytes").format(count=MAX_BYTES)
        report.error("", "too_large", _("the file is {count} bytes long").format(count=len(raw)), hint)
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        message = _("the file starts with a byte order mark")
        report.error("", "encoding", message, _("save it as UTF-8 without a byte order mark"), 1)
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        report.error("", "encoding", _("line {line} is not UTF-8").format(line=line), _("save it as UTF-8"), line)
        return None
    try:
        return tomllib.loads(text)
    except ValueError as error:
        _report_syntax(text, str(error), report)
    except RecursionError:
        report.error("", "syntax", _("the file is nested too deeply"))
    return None


def _report_syntax(text: str, why: str, report: Report) -> None:
    """Report a TOML error. tomllib's text ends with the line and column, except at the end of the file."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", why, flags=re.DOTALL)
    if found:
        why, line, column = found[1], int(found[2]), int(found[3])
    else:
        why = why.removesuffix(" (at end of document)")
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    place = _("line {line}, column {column}").format(line=line, column=column)
    message = _("{place} is not valid TOML: {why}").format(place=place, why=why[:200])
    report.error("", "syntax", message, line=line)
