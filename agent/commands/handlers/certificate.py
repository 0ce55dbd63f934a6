"""``certificate``: install the certificate that the city issued for the request of ``renew``."""

from agent.commands.arguments import ArgumentType
from agent.commands.command_type import Arguments, Authority, CommandType
from agent.commands.context import CommandContext


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    return {"not_after": await context.renewal.install(arguments["pem"])}


COMMAND = CommandType("certificate", _execute, {"pem": ArgumentType.TEXT}, Authority.SIGNATURE)
