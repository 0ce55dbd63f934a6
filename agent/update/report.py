"""Reports the outcome of configurations: journal lines, events and ``config/reported``."""

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
"""Rejections with the same code are one event within this time, so that strangers cannot fill the store."""
_PHASES: Mapping[str, str] = {"staged": "applied", "applying": "applied", "none": "confirmed"}


class UpdateReport:
    """Tracks what to report. ``degraded``: why the running configuration is not all of the accepted one."""

    def __init__(self, store: UpdateStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rejected: RejectedError | None = None
        self._rejected_edit: RejectedError | None = None
        self._rate_limit = LogRateLimit()
        self._announced: dict[str, tuple[float, int]] = {}
        self.degraded: Cause | None = None

    def accepted(self) -> None:
        """Clear the last rejection: a configuration was accepted since."""
        self._rejected = None

    @property
    def rejected_edit(self) -> str:
        """Why the gateway's own files were rejected, for people; empty if they were not."""
        return "" if self._rejected_edit is None else _line(self._rejected_edit)

    def edit_accepted(self) -> bool:
        """Record that the gateway's own files are valid; return whether they were rejected before."""
        edit, self._rejected_edit = self._rejected_edit, None
        if self._rejected is edit:
            self._rejected = None
        return edit is not None

    def degrade(self, cause: Cause | None) -> None:
        """Set why the running configuration is not all of the accepted one; ``None`` if it is."""
        if cause is not None and cause != self.degraded:
            line = _("running only part of the accepted configuration: {why}").format(why=cause.message)
            _log.warning(line, extra=log_extra(LogCode.DEGRADED))
        self.degraded = cause

    def reject(self, error: RejectedError, journal: Journal | None = None, *, local: bool = False) -> None:
        """Report a rejection; announce it unless the previous one had the same cause. ``local``: it concerns the
        gateway's own files, so no stranger can cause it."""
        before, self._rejected = self._rejected, error
        if local:
            self._rejected_edit = error
        allowed, suppressed = self._rate_limit.allows("rejected", seconds(self._clock))
        if allowed:
            line = _("a configuration was rejected: {why}").format(why=_line(error))
            if suppressed:
                line += " " + _("({count} more rejections were not logged)").format(count=suppressed)
            _log.error(line, extra=log_extra(error.code))
        if journal is not None:
            repeated = before is not None and _cause(before) == _cause(error)
            self._announce(error, journal, repeated=repeated, limited=not local)

    def begin(self, journal: Journal) -> None:
        """Announce what happened at the start, before the store was open."""
        if self._rejected is not None:
            self._announce(self._rejected, journal, repeated=False, limited=False)
        if self.degraded is not None:
            cause = self.degraded
            journal.announce(events.config_rejected(cause.code, cause.message, cause.path))

    def message(self, running: ResolvedConfig) -> dict[str, Any]:
        """Return ``config/reported`` for the running configuration."""
        state, document, rejected = self._store.state, running.document, self._rejected
        cause = self.degraded or state.cause if rejected is None else _cause(rejected)
        replaced = self.degraded is not None and not self._store.is_named(running.generation)
        named = rejected is not None and rejected.version > 0
        return {
            "version": rejected.version if named and rejected else state.mark.version,
            "hash": rejected.hash if named and rejected else state.mark.hash,
            "state": "rejected" if rejected is not None or replaced else _PHASES.get(state.phase, state.phase),
            "cause": None if cause is None else asdict(cause),
            "running": {
                "version": document.version if document else 0,
                "hash": document.hash if document else hashlib.sha256(running.generation.base.encode()).hexdigest(),
            },
            "drift": list(running.drift),
            "trust_version": self._store.trust.version if self._store.trust else 0,
            "t": self._clock.now().t,
        }

    def _announce(self, error: RejectedError, journal: Journal, *, repeated: bool, limited: bool) -> None:
        now_s = seconds(self._clock)
        announced_s, count = self._announced.get(error.code, (-_EVENT_S, 0))
        if repeated or (limited and now_s - announced_s < _EVENT_S):
            self._announced[error.code] = (announced_s, count + 1)
            return
        self._announced[error.code] = (now_s, 0)
        journal.announce(events.config_rejected(error.code, error.message, error.path, count))


def _line(error: RejectedError) -> str:
    return f"{error.path}: {error.message}".removeprefix(": ")


def _cause(error: RejectedError) -> Cause:
    return Cause(error.code, error.message, error.path)
