"""Settles rows that will never reach the broker, and counts them in a ``rows_lost`` event."""

import logging

from agent.base.codes import LogCode, log_extra
from agent.base.events import Why, rows_lost
from agent.base.i18n import _
from agent.delivery.context import Store
from agent.delivery.live_lane import LiveLane

_log = logging.getLogger(__name__)


class Losses:
    """Gives rows up."""

    def __init__(self, store: Store, lane: LiveLane) -> None:
        self._store = store
        self._lane = lane

    def settle_rejected(self, stream: str, start: int, stop: int) -> None:
        """Give up rows that the broker cannot accept."""
        line = _("dropped {n} rows of {stream}, starting with number {number}: the broker cannot process them").format(
            n=stop - start, number=start, stream=stream
        )
        _log.error(line, extra=log_extra(LogCode.ROW_GIVEN_UP))
        self._lane.resend[stream].remove(start, stop)
        for first, after in list(self._store.accounts[stream].settled.gaps(start, stop)):
            self._settle(stream, first, after, "rejected")

    def settle_missing(self, stream: str, start: int, stop: int) -> None:
        """Give up unsettled rows that are missing from the store."""
        self._lane.resend[stream].remove(start, stop)
        for first, after in list(self._store.accounts[stream].deliverable(start, stop)):
            self._settle(stream, first, after, "corrupt")

    def _settle(self, stream: str, start: int, stop: int, why: Why) -> None:
        self._store.settle(stream, start, stop)
        epoch = self._store.accounts[stream].epoch_of(start)
        self._store.announce(rows_lost(stream, epoch, start, stop, why))
