"""The arguments of each command, as they are written on a command line: KEY=VALUE."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from agent.base.i18n import one_line, say

Kind = Literal["text", "number", "value"]

ARGUMENTS: Mapping[str, Mapping[str, Kind]] = {
    "ping": {}, "diagnostics": {}, "flush": {}, "renew": {},
    "read": {"sensor": "text"},
    "restart": {"sensor": "text"},
    "output": {"sensor": "text", "value": "value"},
    "resend": {"stream": "text", "ep": "text", "from": "number", "to": "number"},
    "plan": {"envelope": "text"},
    "certificate": {"pem": "text"},
}  # fmt: skip
"""By command: each argument and how it is written. A text is one also where it looks like a number, as an epoch may."""


class WrongArguments(ValueError):
    """The command line is wrong; the text says how, in one line."""


def arguments(command: str, words: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The arguments as the command takes them. Raises :class:`WrongArguments`."""
    if command not in ARGUMENTS:
        names = ", ".join(sorted(ARGUMENTS))
        raise WrongArguments(
            say('unknown command "{name}"; choose one of: {names}', name=one_line(command), names=names)
        )
    known = ARGUMENTS[command]
    found: dict[str, Any] = {}
    for key, text in words:
        if key not in known:
            wrong = {"command": command, "key": one_line(key), "names": ", ".join(known)}
            if not known:
                raise WrongArguments(say("{command} takes no arguments, but {key} was given", **wrong))
            raise WrongArguments(say("{command} has no argument {key}; choose one of: {names}", **wrong))
        if key in found:
            raise WrongArguments(say("{key} is given twice", key=key))
        found[key] = _value(key, known[key], text)
    return found


def _value(key: str, kind: Kind, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if kind == "text":
        # In quotes as JSON has it, or as it is.
        return value if isinstance(value, str) else text
    if isinstance(value, bool) and kind == "value":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        wanted = say("an integer") if kind == "number" else say("a number, true or false")
        raise WrongArguments(
            say("{key} must be {wanted}, not {value}", key=key, wanted=wanted, value=one_line(text, 60))
        )
    return value
