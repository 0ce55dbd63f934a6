"""``output``: switch an output on or off."""

from agent.commands.arguments import ArgumentType
from agent.commands.command_type import Arguments, Authority, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    await context.sensor(arguments["sensor"]).switch(arguments["value"])
    return None


COMMAND = CommandType("output", _execute, {"sensor": ArgumentType.NAME, "value": ArgumentType.SWITCH}, Authority.SITE)
