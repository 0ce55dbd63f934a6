"""A queue of commands with its own rate limit and its own replies, so that a flood in one holds up no other."""

import asyncio
from collections import deque

from agent.base.token_bucket import TokenBucket
from agent.commands.command import Command

MAX_WAITING = 64


class Lane:
    """``per_s``: commands per second; ``burst``: how many at once. ``replies``: topic, payload, retained."""

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self.replies: deque[tuple[str, bytes, bool]] = deque(maxlen=MAX_WAITING)
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(MAX_WAITING)
        self._bucket = TokenBucket(per_s, burst, now_s)

    def offer(self, command: Command, now_s: float) -> bool:
        """Queue a command; return ``False`` where the queue is full or the rate is exceeded. ``now_s``: loop time."""
        if self._waiting.full() or not self._bucket.try_consume(now_s):
            return False
        self._waiting.put_nowait(command)
        return True

    async def next(self) -> Command:
        """Wait for the next command."""
        return await self._waiting.get()
