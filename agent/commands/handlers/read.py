"""``read``: the next measurement of a sensor."""

import asyncio

from agent.commands.arguments import ArgumentType
from agent.commands.command_type import Arguments, CommandType
from agent.commands.context import CommandContext

_TIMEOUT_S = 10.0


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    async with asyncio.timeout(_TIMEOUT_S):
        return dict(await context.sensor(arguments["sensor"]).measure())


COMMAND = CommandType("read", _execute, {"sensor": ArgumentType.NAME})
