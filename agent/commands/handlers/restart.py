"""``restart``: restart one sensor."""

from agent.commands.arguments import ArgumentType
from agent.commands.command_type import Arguments, Authority, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    context.sensor(arguments["sensor"]).restart()
    return None


COMMAND = CommandType("restart", _execute, {"sensor": ArgumentType.NAME}, Authority.SITE)
