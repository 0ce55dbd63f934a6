"""A serial port or socket that several sensors use in turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from agent.sensing.sensor_errors import PortLost


class Link(Protocol):
    """The port as its current user sees it."""

    async def read(self, timeout_s: float) -> bytes: ...
    async def write(self, raw: bytes) -> None: ...
    def close(self) -> None: ...


class SharedPort:
    """Opened when first used, lent to one user at a time in the order of requests, closed after a failure.

    ``open_link`` raises :class:`PortLost`.
    """

    def __init__(self, open_link: Callable[[], Awaitable[Link]]) -> None:
        self._open_link = open_link
        self._turn = asyncio.Lock()
        self._link: Link | None = None

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Link]:
        """Lend the port for the duration of the context. Raises :class:`PortLost`."""
        async with self._turn:
            if self._link is None:
                self._link = await self._open_link()
            try:
                yield self._link
            except PortLost:
                self.close()
                raise

    def close(self) -> None:
        """Close the port; the next user reopens it."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
