"""One guard around whatever comes from outside: it can be refused, it can never end the agent."""

import logging
import traceback
from collections.abc import Coroutine
from typing import Any

from agent.core.log_fields import tagged
from agent.core.refusal import INTERNAL_ERROR, Refused
from agent.core.text import say

_log = logging.getLogger(__name__)

_MAX_TOLD = 100


class BrokenState(Exception):
    """What runs at this gateway is not known any more: only a new start helps."""


class Guard:
    """Runs one piece of work after another. Each internal error is logged once, and only :class:`BrokenState` gets
    out."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    async def run(self, what: str, work: Coroutine[Any, Any, None]) -> Refused | None:
        """Do it; give the refusal where it failed in a way that nobody foresaw. ``what``: for people."""
        try:
            await work
        except BrokenState:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is refused
            return self.refused(what, error)
        return None

    def refused(self, what: str, error: Exception) -> Refused:
        """An internal error, as a refusal."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        why = repr(error)[:200]
        if (what, where) not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add((what, where))
            _log.debug("%s", what, exc_info=error)
            line = say("{what}: internal error; please report it: {why} ({where})", what=what, why=why, where=where)
            _log.error(line, extra=tagged(INTERNAL_ERROR))
        return Refused(INTERNAL_ERROR, say("internal error: {why}", why=why))
