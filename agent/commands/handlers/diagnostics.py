"""``diagnostics``: the status snapshot of the whole agent."""

from agent.base.status_views import diagnostics
from agent.commands.command_type import Arguments, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    return diagnostics(context.status())


COMMAND = CommandType("diagnostics", _execute)
