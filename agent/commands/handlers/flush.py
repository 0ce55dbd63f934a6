"""``flush``: write everything to disk and send it now. Nothing is discarded."""

from agent.commands.command_type import Arguments, Authority, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    await context.store.flush()
    context.flush_requested = True
    return {"unsettled": context.store.unsettled()}


COMMAND = CommandType("flush", _execute, authority=Authority.SITE)
