"""Takes the steps of an update to the disk: in a thread, since a card may take seconds and the sensors do not wait."""

import asyncio
import logging
from collections.abc import Callable

from agent.core.log_fields import tagged
from agent.core.refusal import NOT_KEPT, Refused
from agent.core.text import say
from agent.edges.update_dir import UpdateDir
from agent.edges.worker import Worker

_log = logging.getLogger(__name__)

SETTLE_S = 10.0
"""After which a disk that refused is asked again."""


class UpdateSteps:
    """``kept``: what the steps, its methods, change. ``due_s``: when to call :meth:`settle_if_due` (loop seconds)."""

    def __init__(self, kept: UpdateDir) -> None:
        self._kept = kept
        self._disk: Worker | None = None
        self.due_s = float("inf")

    async def keep(self, step: Callable[[], None]) -> None:
        """A step that must be on the disk before it has any effect. Raises :class:`Refused` where it is not."""
        try:
            await self._on_disk(step)
        except OSError as error:
            raise Refused(NOT_KEPT, say("could not write to disk: {why}", why=error)) from error

    async def note(self, step: Callable[[], None]) -> None:
        """A step that has its effect whatever the disk says, which is asked again later."""
        try:
            await self._on_disk(step)
        except OSError as error:
            if self.due_s == float("inf"):
                line = say("could not write to disk: {why}", why=error)
                _log.error(line, extra=tagged(NOT_KEPT))
        self.due_s = asyncio.get_running_loop().time() + SETTLE_S if self._kept.unwritten else float("inf")

    async def settle_if_due(self) -> None:
        """Ask a disk again that refused."""
        if asyncio.get_running_loop().time() >= self.due_s:
            await self.note(self._kept.settle)

    def close(self) -> None:
        """Let the thread end."""
        if self._disk is not None:
            self._disk.close()

    async def _on_disk(self, step: Callable[[], None]) -> None:
        # Made when it is needed: most gateways run for months without. One thread: the steps keep their order.
        if self._disk is None:
            self._disk = Worker("configuration files")
        await self._disk.call(step)
