"""Every command, by name. A new command is a module in ``handlers`` and one entry here."""

from collections.abc import Mapping

from agent.commands.command_type import MAX_BYTES, CommandType
from agent.commands.handlers import (
    certificate,
    diagnostics,
    flush,
    output,
    ping,
    plan,
    read,
    renew,
    resend,
    restart,
)

COMMANDS: Mapping[str, CommandType] = {
    module.COMMAND.name: module.COMMAND
    for module in (ping, read, flush, resend, plan, diagnostics, restart, output, renew, certificate)
}


def max_bytes(name: str) -> int:
    """Return the longest message to ``command/{name}``, in bytes."""
    return COMMANDS[name].max_bytes if name in COMMANDS else MAX_BYTES
