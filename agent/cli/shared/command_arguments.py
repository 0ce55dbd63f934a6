"""Parses the arguments of commands from the command line: KEY=VALUE."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from agent.base.display import one_line
from agent.base.i18n import _

Kind = Literal["text", "number", "value"]

ARGUMENTS: Mapping[str, Mapping[str, Kind]] = {
    "ping": {},
    "diagnostics": {},
    "flush": {},
    "renew": {},
    "read": {"sensor": "text"},
    "restart": {"sensor": "text"},
    "output": {"sensor": "text", "value": "value"},
    "resend": {"stream": "text", "ep": "text", "from": "number", "to": "number"},
    "plan": {"envelope": "text"},
    "certificate": {"pem": "text"},
}
"""By command: its arguments and their kinds. A text stays a text even if it looks like a number, as an epoch may."""


class WrongArguments(ValueError):
    """The command line is wrong; the text says why, in one line."""


def parse_arguments(command: str, words: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parse the arguments of a command. Raises :class:`WrongArguments`."""
    if command not in ARGUMENTS:
        names = ", ".join(sorted(ARGUMENTS))
        raise WrongArguments(
            _('unknown command "{name}"; choose one of: {names}').format(name=one_line(command), names=names)
        )
    known = ARGUMENTS[command]
    found: dict[str, Any] = {}
    for key, text in words:
        if key not in known:
            details = {"command": command, "key": one_line(key), "names": ", ".join(known)}
            if not known:
                raise WrongArguments(_("{command} takes no arguments, but {key} was given").format(**details))
            raise WrongArguments(_("{command} has no argument {key}; choose one of: {names}").format(**details))
        if key in found:
            raise WrongArguments(_("{key} was given twice").format(key=key))
        found[key] = _value(key, known[key], text)
    return found


def _value(key: str, kind: Kind, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if kind == "text":
        # A JSON string in quotes, or the text as it is.
        return value if isinstance(value, str) else text
    if isinstance(value, bool) and kind == "value":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        wanted = _("an integer") if kind == "number" else _("a number, true or false")
        raise WrongArguments(
            _("{key} must be {wanted}, not {value}").format(key=key, wanted=wanted, value=one_line(text, 60))
        )
    return value
