"""Background work beside the commits: periodic checks of the files, and the rescue of damaged ones."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.store.io.backend import Backend
from agent.store.io.errors import StoreError
from agent.store.limits import StoreLimits

Call = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function in the store's thread."""


class Upkeep:
    """Runs in the event loop. ``folder``: the directory of the files."""

    def __init__(self, backend: Backend, call: Call, folder: Path, limits: StoreLimits) -> None:
        self._backend = backend
        self._call = call
        self._folder = folder
        self._limits = limits
        self._rescue: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Maintain the files until cancelled, which also cancels a rescue."""
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
        """Start rescuing files that were set aside, if there are any."""
        if self._rescue is None and self._backend.durable and self._backend.rescues:
            self._rescue = asyncio.create_task(self._rescue_all(), name="rescue")

    async def _rescue_all(self) -> None:
        from agent.store.io.rescue.rescue import rescue

        try:
            await rescue(self._backend, self._call, self._folder)
        except StoreError:
            await asyncio.sleep(self._limits.rescue_retry_s)
        finally:
            self._rescue = None
