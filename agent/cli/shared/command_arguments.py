"""Parses the arguments of commands from the command line: KEY=VALUE."""

import json
from collections.abc import Iterable
from typing import Any

from agent.base.display import one_line
from agent.base.i18n import _
from agent.commands.arguments import ArgumentType
from agent.commands.registry import COMMANDS


class WrongArguments(ValueError):
    """The command line is wrong; the text says why, in one line."""


def parse_arguments(command: str, words: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parse the arguments of a command. Raises :class:`WrongArguments`."""
    if command not in COMMANDS:
        names = ", ".join(sorted(COMMANDS))
        raise WrongArguments(
            _('unknown command "{name}"; choose one of: {names}').format(name=one_line(command), names=names)
        )
    known = COMMANDS[command].arguments
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


def _value(key: str, kind: ArgumentType, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if kind not in (ArgumentType.INTEGER, ArgumentType.SWITCH):
        # A JSON string in quotes, or the text as it is, even if it looks like a number, as an epoch may.
        return value if isinstance(value, str) else text
    if isinstance(value, bool) and kind is ArgumentType.SWITCH:
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        wanted = _("an integer") if kind is ArgumentType.INTEGER else _("a number, true or false")
        raise WrongArguments(
            _("{key} must be {wanted}, not {value}").format(key=key, wanted=wanted, value=one_line(text, 60))
        )
    return value
