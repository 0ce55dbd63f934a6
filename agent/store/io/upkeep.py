"""What goes on beside the commits: looks at the files from time to time, and the rescue of damaged ones."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.store.io.backend import Backend
from agent.store.io.errors import StoreError
from agent.store.limits import StoreLimits

Call = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Run this in the store's thread."""


class Upkeep:
    """Belongs to the event loop. ``folder``: where the files are."""

    def __init__(self, backend: Backend, call: Call, folder: Path, limits: StoreLimits) -> None:
        self._backend = backend
        self._call = call
        self._folder = folder
        self._limits = limits
        self._rescue: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look after the files until it is cancelled; then a rescue ends, too."""
        try:
            while True:
                self.begin_rescue()
                await asyncio.sleep(self._limits.upkeep_s)
                await self._call(self._backend.upkeep)
        finally:
            if self._rescue is not None:
                self._rescue.cancel()
                await asyncio.gather(self._rescue, return_exceptions=True)

    def begin_rescue(self) -> None:
        """Bring back what can be read of files that were set aside, if there are any."""
        if self._rescue is None and self._backend.durable and self._backend.rescues:
            self._rescue = asyncio.create_task(self._rescue_all(), name="rescue")

    async def _rescue_all(self) -> None:
        from agent.store.io.rescue.rescue import rescue

        try:
            await rescue(self._backend, self._call, self._folder)
        except StoreError:
            await asyncio.sleep(self._limits.rescue_again_s)
        finally:
            self._rescue = None
