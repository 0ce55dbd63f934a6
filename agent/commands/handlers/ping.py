"""``ping``: is the agent there, which release, and what time does it have?"""

from agent.commands.command_type import Arguments, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    status = context.status()
    return {"t": status.clock.t_ms, "agent": status.process.release}


COMMAND = CommandType("ping", _execute)
