"""One agent: opens the store, chooses the configuration, runs the site, takes everything down in the right order."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from agent import __version__
from agent.core import events
from agent.core.config import DriverLookup
from agent.core.text import say
from agent.edges import clock
from agent.edges.state_dir import StateDir, board_serial
from agent.edges.store import Store
from agent.site import Site
from agent.updates import Updates

_log = logging.getLogger(__name__)

_STOP_S = 4.5
"""The agent stops within 5 s, whatever a driver, the disk or the broker does."""
_FLUSH_S = 1.0
_GOODBYE_S = 2.5


class Fault(Exception):
    """A part of the agent ended that never should: a fault of the program."""


class Supervisor:
    """One agent over one state directory. ``stop`` and ``reread`` may be called at any time, from the event loop."""

    def __init__(self, file: Path, state_dir: StateDir, catalog: DriverLookup) -> None:
        self._file = file
        self._state_dir = state_dir
        self._catalog = catalog
        self._stopping = asyncio.Event()
        self._updates: Updates | None = None

    def stop(self) -> None:
        """End :meth:`run` in good order."""
        self._stopping.set()

    def reread(self) -> None:
        """The gateway's own files were perhaps changed."""
        if self._updates is not None:
            self._updates.edited()

    async def run(self) -> None:
        """Run until :meth:`stop`. Raises :class:`~agent.edges.database.StoreError` if the store cannot be opened,
        :class:`~agent.updates.NoConfiguration`, and :class:`Fault`."""
        now, bid = clock.Clock(), clock.boot_id()
        updates = Updates(self._state_dir.path / "config", self._file, self._catalog, now)
        setup = await updates.first()
        config = setup.config
        store = await Store.open(
            self._state_dir.path / config.store.path, config.store.max_bytes, config.store.commit_s, bid,
            board_serial(), now.now,
        )  # fmt: skip
        now.raise_floor(await store.newest_ms())
        deadline_s = asyncio.get_running_loop().time()
        try:
            site = Site(store, self._state_dir, now, bid)
            site.on_configuration, site.opened, site.planned = updates.take, updates.opened, updates.planned
            await site.change(setup)
            store.announce(events.started(__version__, "start"))
            self._updates = updates
            updating = asyncio.create_task(updates.run(site, store), name="updates")
            await self._until_stopped(site, store, updating)
            deadline_s = await self._take_down(site, store, updating)
        finally:
            left_s = max(0.3, deadline_s - asyncio.get_running_loop().time())
            if not await store.close(left_s):
                _log.error(say("the disk did not take the last readings in time"))

    async def _until_stopped(self, site: Site, store: Store, updating: "asyncio.Task[None]") -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        while not stopping.done():
            lasting: list[asyncio.Task[Any]] = [store.task, updating, *site.lasting]
            await asyncio.wait((stopping, *lasting), return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
            for task in lasting:
                # What a change has replaced has ended as well, and on purpose.
                if task.done() and (task in site.lasting or task in (store.task, updating)) and not stopping.done():
                    stopping.cancel()
                    why = "cancelled" if task.cancelled() else repr(task.exception())
                    raise Fault(f"{task.get_name()}: {why}")

    async def _take_down(self, site: Site, store: Store, updating: "asyncio.Task[None]") -> float:
        """Sensors first, so that nothing new comes; then the store, then the goodbye to the broker."""
        deadline_s = asyncio.get_running_loop().time() + _STOP_S
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)
        if self._updates is not None:
            await self._updates.close()
        await site.stop_sensors()
        store.announce(events.stopped("shutdown"))
        flush = asyncio.create_task(store.flush())
        await asyncio.wait((flush,), timeout=_FLUSH_S)
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
        await site.close(_GOODBYE_S)
        return deadline_s
