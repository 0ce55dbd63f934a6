"""What is told of configurations: lines in the journal, events, and ``config/reported``."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent.base import events
from agent.base.codes import LogCode, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.io.log_rate_limit import LogRateLimit
from agent.config.generation import Cause
from agent.config.resolve import ResolvedConfig
from agent.update.io.update_store import UpdateStore
from agent.update.ports import Clock, Journal, seconds

_log = logging.getLogger(__name__)

_EVENT_S = 600.0
"""A refusal with the same code is one event in this time: strangers must not fill the store."""
_PHASES: Mapping[str, str] = {"staged": "applied", "applying": "applied", "none": "confirmed"}


class UpdateReport:
    """``degraded``: why what runs is not all that was accepted."""

    def __init__(self, store: UpdateStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._refused: RejectedError | None = None
        self._rejected_edit: RejectedError | None = None
        self._budget = LogRateLimit()
        self._announced: dict[str, tuple[float, int]] = {}
        self.degraded: Cause | None = None

    def accepted(self) -> None:
        """Something was taken: what was refused before is history."""
        self._refused = None

    @property
    def rejected_edit(self) -> str:
        """Why the gateway's own files are not what runs, for people; empty where they are."""
        return "" if self._rejected_edit is None else _line(self._rejected_edit)

    def edit_accepted(self) -> bool:
        """The gateway's own files are valid again. Return whether they were rejected before."""
        edit, self._rejected_edit = self._rejected_edit, None
        if self._refused is edit:
            self._refused = None
        return edit is not None

    def degrade(self, cause: Cause | None) -> None:
        """Note why what runs is not all that was accepted, or that it is."""
        if cause is not None and cause != self.degraded:
            line = _("running without everything that was accepted: {why}").format(why=cause.message)
            _log.warning(line, extra=log_extra(LogCode.DEGRADED))
        self.degraded = cause

    def refuse(self, error: RejectedError, journal: Journal | None = None, *, local: bool = False) -> None:
        """Note a refusal, and announce it unless the one before was for the same. ``local``: it is of the gateway's own
        files, so that no stranger can bring it about."""
        before, self._refused = self._refused, error
        if local:
            self._rejected_edit = error
        allowed, kept_back = self._budget.allows("refused", seconds(self._clock))
        if allowed:
            line = _("a configuration was rejected: {why}").format(why=_line(error))
            if kept_back:
                line += " " + _("({count} more refusals were not logged)").format(count=kept_back)
            _log.error(line, extra=log_extra(error.code))
        if journal is not None:
            again = before is not None and _cause(before) == _cause(error)
            self._announce(error, journal, again=again, limited=not local)

    def begin(self, journal: Journal) -> None:
        """Announce what was found at the start, before there was a store."""
        if self._refused is not None:
            self._announce(self._refused, journal, again=False, limited=False)
        if self.degraded is not None:
            cause = self.degraded
            journal.announce(events.config_rejected(cause.code, cause.message, cause.path))

    def message(self, running: ResolvedConfig) -> dict[str, Any]:
        """``config/reported``, where ``running`` runs."""
        state, document, refused = self._store.state, running.document, self._refused
        cause = self.degraded or state.cause if refused is None else _cause(refused)
        elsewhere = self.degraded is not None and not self._store.is_named(running.generation)
        named = refused is not None and refused.version > 0
        return {
            "version": refused.version if named and refused else state.mark.version,
            "hash": refused.hash if named and refused else state.mark.hash,
            "state": "rejected" if refused is not None or elsewhere else _PHASES.get(state.phase, state.phase),
            "cause": None if cause is None else asdict(cause),
            "running": {
                "version": document.version if document else 0,
                "hash": document.hash if document else hashlib.sha256(running.generation.base.encode()).hexdigest(),
            },
            "drift": list(running.drift),
            "trust_version": self._store.trust.version if self._store.trust else 0,
            "t": self._clock.now().t,
        }

    def _announce(self, error: RejectedError, journal: Journal, *, again: bool, limited: bool) -> None:
        now_s = seconds(self._clock)
        told_s, count = self._announced.get(error.code, (-_EVENT_S, 0))
        if again or (limited and now_s - told_s < _EVENT_S):
            self._announced[error.code] = (told_s, count + 1)
            return
        self._announced[error.code] = (now_s, 0)
        journal.announce(events.config_rejected(error.code, error.message, error.path, count))


def _line(error: RejectedError) -> str:
    return f"{error.path}: {error.message}".removeprefix(": ")


def _cause(error: RejectedError) -> Cause:
    return Cause(error.code, error.message, error.path)
