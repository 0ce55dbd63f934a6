"""The guard around every step of an update: a step can be rejected, but it can never end the agent."""

from collections.abc import Coroutine
from typing import Any

from agent.base.errors import INTERNAL_ERROR, RejectedError
from agent.base.guard import unexpected
from agent.base.i18n import _


class BrokenState(Exception):
    """It is unknown what runs at this gateway; only a restart of the agent helps."""


class Guard:
    """Runs one step after another. Only :class:`BrokenState` propagates."""

    async def run(self, what: str, work: Coroutine[Any, Any, None]) -> RejectedError | None:
        """Run a step; return a rejection if it failed unexpectedly. ``what`` names it for people."""
        try:
            await work
        except BrokenState:
            raise
        except Exception as error:  # noqa: BLE001 - the guard: reject the step, whatever failed
            unexpected(what, error)
            return RejectedError(INTERNAL_ERROR, _("internal error: {why}").format(why=repr(error)[:200]))
        return None
