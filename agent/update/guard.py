"""The guard around each piece of news about configurations: it can be refused, it can never end the agent."""

from collections.abc import Coroutine
from typing import Any

from agent.base.errors import INTERNAL_ERROR, RejectedError
from agent.base.guard import unexpected
from agent.base.i18n import _


class BrokenState(Exception):
    """What runs at this gateway is not known any more: only a new start helps."""


class Guard:
    """Runs one piece of work after another. Only :class:`BrokenState` gets out."""

    async def run(self, what: str, work: Coroutine[Any, Any, None]) -> RejectedError | None:
        """Do it; give the refusal where it failed in a way that nobody foresaw. ``what``: for people."""
        try:
            await work
        except BrokenState:
            raise
        except Exception as error:  # noqa: BLE001 - the guard: whatever it is, it is refused
            unexpected(what, error)
            return RejectedError(INTERNAL_ERROR, _("internal error: {why}").format(why=repr(error)[:200]))
        return None
