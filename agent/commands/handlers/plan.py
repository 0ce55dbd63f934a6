"""``plan``: check a signed configuration and say what it would change, without applying it."""

from agent.commands.arguments import ArgumentType
from agent.commands.command_type import MAX_BYTES, Arguments, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    return await context.plan(arguments["envelope"])


# An envelope may have 64 KiB itself, and grows when it is quoted as a string of JSON.
COMMAND = CommandType("plan", _execute, {"envelope": ArgumentType.ENVELOPE}, max_bytes=2 * MAX_BYTES)
