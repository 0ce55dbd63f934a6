"""``resend``: send rows of one epoch of a stream again, as far as the store still has them."""

import asyncio

from agent.base.ranges import Ranges
from agent.commands.arguments import ArgumentType
from agent.commands.command_type import Arguments, CommandType
from agent.commands.context import CommandContext

_REPEAT_S = 60.0
"""An equal range within this time is answered from the last result, and not sent again."""


async def _execute(context: CommandContext, arguments: Arguments) -> object:
    stream, epoch = arguments["stream"], arguments["ep"]
    account = context.store.accounts.get(stream)
    if account is None:
        raise LookupError(f"there is no stream {stream}")
    try:
        first, end = account.span(epoch)
    except KeyError:
        raise LookupError(f"the stream has no epoch {epoch}") from None
    start, stop = max(arguments["from"], first), min(arguments["to"] + 1, end)
    key = (stream, start, stop)
    now_s = asyncio.get_running_loop().time()
    recent = context.recent_resends
    for expired in [entry for entry, (sent_s, _) in recent.items() if now_s - sent_s >= _REPEAT_S]:
        del recent[expired]
    if key not in recent:
        stored = Ranges(account.gone.gaps(start, stop))
        for pair in stored:
            context.uplink.send_again(stream, *pair)
        recent[key] = now_s, {"sent": stored.count(), "gone": max(0, stop - start) - stored.count()}
    return recent[key][1]


COMMAND = CommandType(
    "resend",
    _execute,
    {
        "stream": ArgumentType.NAME,
        "ep": ArgumentType.NAME,
        "from": ArgumentType.INTEGER,
        "to": ArgumentType.INTEGER,
    },
)
