"""``renew``: make a new key and return a certificate signing request for it."""

from agent.commands.command_type import Arguments, Authority, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    return await context.renewal.request()


COMMAND = CommandType("renew", _execute, authority=Authority.SIGNATURE)
