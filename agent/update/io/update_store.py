"""What is kept of updates, for the event loop: its thread lives in here, since a card may take seconds to write."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from agent.base.codes import log_extra
from agent.base.errors import NOT_KEPT, RejectedError
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
    """The durable steps of :class:`~agent.update.io.update_dir.UpdateDir`, one after the other.

    :meth:`stage`, :meth:`keep_trust` and :meth:`keep_origin` must be on the disk before they have any effect: they
    raise :class:`RejectedError` where they are not. The others have their effect whatever the disk says, which is asked
    again later. ``now_s``: monotonic seconds; ``settle_s``: after which a disk that refused is asked again.
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
        """Where the gateway stands."""
        return self._dir.state

    @property
    def trust(self) -> "Root | None":
        """The root that was reached."""
        return self._dir.trust

    @property
    def lost(self) -> bool:
        """Whether the state was there and could not be read."""
        return self._dir.lost

    @property
    def trust_lost(self) -> bool:
        """Whether there was a root, and no copy of it can be read."""
        return self._dir.trust_lost

    @property
    def unwritten(self) -> bool:
        """Whether the disk may not know what was done."""
        return self._dir.unwritten

    def goods(self) -> list[Generation]:
        """The last good configuration and the one before it: those whose files are whole."""
        return self._dir.goods()

    def good(self) -> Generation | None:
        """The first of them."""
        return self._dir.good()

    def candidate(self) -> Generation | None:
        """The candidate, where one is under way and its file is whole."""
        return self._dir.candidate()

    def is_named(self, generation: Generation) -> bool:
        """Whether this is what the state says should run, or is tried."""
        return generation.name in (self.state.good, self.state.candidate)

    def prove(self, mark: Mark | None) -> bool:
        """Take a mark that was remembered at another place, where it is higher; whether it is."""
        return self._dir.prove(mark)

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
        """Keep the root that was reached. Raises :class:`RejectedError`."""
        await self._keep(partial(self._dir.keep_trust, followed, origin))

    async def keep_origin(self, origin: str) -> None:
        """Note which trust file the kept root comes from. Raises :class:`RejectedError`."""
        await self._keep(partial(self._dir.keep_origin, origin))

    async def adopt(self, generation: Generation) -> None:
        """Count a configuration as good without a trial."""
        await self._note(partial(self._dir.adopt, generation))

    async def applying(self) -> None:
        """The candidate is begun with."""
        await self._note(self._dir.applying)

    async def probation(self) -> None:
        """The candidate runs."""
        await self._note(self._dir.probation)

    async def confirm(self) -> None:
        """The candidate is the good one from now on."""
        await self._note(self._dir.confirm)

    async def roll_back(self, cause: Cause) -> None:
        """The candidate is bad, and the good one counts again."""
        await self._note(partial(self._dir.roll_back, cause))

    async def withdraw(self, payload: str, cause: Cause) -> None:
        """The good one is bad after all, and the one before it counts again."""
        await self._note(partial(self._dir.withdraw, payload, cause))

    async def stand_in(self, generation: Generation) -> None:
        """There is no good one to go back to: this one is, from now on."""
        await self._note(partial(self._dir.stand_in, generation))

    async def proven(self) -> None:
        """What was accepted while the clock was unset has not expired."""
        await self._note(self._dir.proven)

    async def set_down(self, spent_s: float) -> None:
        """The agent is stopped in good order, after so long on trial."""
        await self._note(partial(self._dir.set_down, spent_s))

    async def settle(self) -> None:
        """Write down what the disk did not take before."""
        if self.unwritten:
            await self._note(self._dir.settle)

    async def settle_if_due(self) -> None:
        """Ask a disk again that refused."""
        if self._now_s() >= self.due_s:
            await self.settle()

    def close(self) -> None:
        """Let the thread end."""
        if self._worker is not None:
            self._worker.close()

    async def _keep(self, step: Callable[[], None]) -> None:
        try:
            await self._in_thread(step)
        except OSError as error:
            raise RejectedError(NOT_KEPT, _("could not write to disk: {why}").format(why=error)) from error

    async def _note(self, step: Callable[[], None]) -> None:
        try:
            await self._in_thread(step)
        except OSError as error:
            if self.due_s == _NEVER:
                line = _("could not write to disk: {why}").format(why=error)
                _log.error(line, extra=log_extra(NOT_KEPT))
        self.due_s = self._now_s() + self._settle_s if self.unwritten else _NEVER

    async def _in_thread(self, step: Callable[[], None]) -> None:
        # Made when it is needed: most gateways run for months without. One thread: the steps keep their order.
        if self._worker is None:
            self._worker = Worker("configuration files")
        await self._worker.call(step)
