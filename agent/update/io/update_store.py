"""The durable state of updates for the event loop. It uses a thread, since a card may take seconds to write."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from agent.base.codes import log_extra
from agent.base.errors import NOT_SAVED, RejectedError
from agent.base.i18n import _
from agent.base.io.atomic_files import Files
from agent.base.io.worker import Worker
from agent.config.generation import Cause, Generation
from agent.update.io.update_dir import UpdateDir
from agent.update.signed.version_mark import Mark
from agent.update.state import UpdateState

if TYPE_CHECKING:
    from agent.update.signed.trust import Followed, Root

_log = logging.getLogger(__name__)
_NEVER = float("inf")


class UpdateStore:
    """The steps of :class:`~agent.update.io.update_dir.UpdateDir`, one after the other.

    :meth:`stage`, :meth:`keep_trust` and :meth:`keep_origin` take effect only once they are on disk; otherwise they
    raise :class:`RejectedError`. The other steps take effect at once, and a failed write is retried later. ``now_s``:
    monotonic seconds; ``settle_s``: delay before a failed write is retried.
    """

    def __init__(self, files: Files, now_s: Callable[[], float], settle_s: float) -> None:
        self._dir = UpdateDir(files)
        self._now_s = now_s
        self._settle_s = settle_s
        self._worker: Worker | None = None
        self.due_s = _NEVER
        """When to call :meth:`settle_if_due`."""

    @property
    def state(self) -> UpdateState:
        """The current state."""
        return self._dir.state

    @property
    def trust(self) -> "Root | None":
        """The trusted root."""
        return self._dir.trust

    @property
    def lost(self) -> bool:
        """Whether the state existed but could not be read."""
        return self._dir.lost

    @property
    def trust_lost(self) -> bool:
        """Whether there was a trusted root, but no copy of it can be read."""
        return self._dir.trust_lost

    @property
    def unwritten(self) -> bool:
        """Whether the last step may not be on disk."""
        return self._dir.unwritten

    def goods(self) -> list[Generation]:
        """Return the last good configuration and the one before it, without damaged ones."""
        return self._dir.goods()

    def good(self) -> Generation | None:
        """Return the last good configuration, or the one before it if that file is damaged."""
        return self._dir.good()

    def candidate(self) -> Generation | None:
        """Return the candidate, if one is under way and its file is intact."""
        return self._dir.candidate()

    def is_named(self, generation: Generation) -> bool:
        """Return whether this is the good configuration or the candidate."""
        return generation.name in (self.state.good, self.state.candidate)

    def merge_mark(self, mark: Mark | None) -> bool:
        """Use a copy of the mark that was stored elsewhere if it is higher, and return whether it is."""
        return self._dir.merge_mark(mark)

    async def stage(
        self,
        generation: Generation,
        trying: str = "",
        message: str = "",
        mark: Mark | None = None,
        *,
        unproven: bool = False,
    ) -> None:
        """Make it the candidate. Raises :class:`RejectedError`."""
        await self._keep(partial(self._dir.stage, generation, trying, message, mark, unproven=unproven))

    async def keep_trust(self, followed: "Followed", origin: str = "") -> None:
        """Store the newest root. Raises :class:`RejectedError`."""
        await self._keep(partial(self._dir.keep_trust, followed, origin))

    async def keep_origin(self, origin: str) -> None:
        """Record which trust file the stored root comes from. Raises :class:`RejectedError`."""
        await self._keep(partial(self._dir.keep_origin, origin))

    async def adopt(self, generation: Generation) -> None:
        """Adopt a configuration as good without a trial."""
        await self._note(partial(self._dir.adopt, generation))

    async def applying(self) -> None:
        """Record that the candidate is being started."""
        await self._note(self._dir.applying)

    async def probation(self) -> None:
        """Record that the candidate runs."""
        await self._note(self._dir.probation)

    async def confirm(self) -> None:
        """Make the candidate the good configuration."""
        await self._note(self._dir.confirm)

    async def roll_back(self, cause: Cause) -> None:
        """Mark the candidate as bad and return to the good configuration."""
        await self._note(partial(self._dir.roll_back, cause))

    async def withdraw(self, payload: str, cause: Cause) -> None:
        """Mark the good configuration as bad and return to the one before it."""
        await self._note(partial(self._dir.withdraw, payload, cause))

    async def use_fallback(self, generation: Generation) -> None:
        """Make a fallback the good configuration, because there is none to roll back to."""
        await self._note(partial(self._dir.use_fallback, generation))

    async def expiry_checked(self) -> None:
        """Record that the configuration accepted with an unset clock has not expired."""
        await self._note(self._dir.expiry_checked)

    async def suspend(self, spent_s: float) -> None:
        """Suspend the trial for a clean stop, after ``spent_s`` on trial in this run."""
        await self._note(partial(self._dir.suspend, spent_s))

    async def settle(self) -> None:
        """Write what could not be written before."""
        if self.unwritten:
            await self._note(self._dir.settle)

    async def settle_if_due(self) -> None:
        """Retry a failed write if it is due."""
        if self._now_s() >= self.due_s:
            await self.settle()

    def close(self) -> None:
        """Stop the thread."""
        if self._worker is not None:
            self._worker.close()

    async def _keep(self, step: Callable[[], None]) -> None:
        try:
            await self._in_thread(step)
        except OSError as error:
            raise RejectedError(NOT_SAVED, _("could not write to disk: {why}").format(why=error)) from error

    async def _note(self, step: Callable[[], None]) -> None:
        try:
            await self._in_thread(step)
        except OSError as error:
            if self.due_s == _NEVER:
                line = _("could not write to disk: {why}").format(why=error)
                _log.error(line, extra=log_extra(NOT_SAVED))
        self.due_s = self._now_s() + self._settle_s if self.unwritten else _NEVER

    async def _in_thread(self, step: Callable[[], None]) -> None:
        # Start the thread only when it is needed: most gateways run for months without. One thread keeps the order.
        if self._worker is None:
            self._worker = Worker("configuration files")
        await self._worker.call(step)
