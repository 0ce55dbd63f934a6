"""Feeds systemd's watchdog as long as every part of the agent makes progress.

An attempt counts as progress even if it fails: an unreachable broker or a full disk is no reason to restart.
"""

import asyncio
import faulthandler
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from agent.app.liveness import Liveness
from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _

_log = logging.getLogger(__name__)

_MAX_PERIOD_S = 10.0
STATUS_S = 1.5
STORE_S = 60.0
"""A worn SD card may block for many seconds in one write."""
UPLINK_S = 120.0
"""Longer than any connection attempt takes."""


class Notifier(Protocol):
    """What the watchdog needs from systemd."""

    watchdog_s: float

    def feed(self) -> None: ...
    def status(self, line: str) -> None: ...


class Watchdog:
    """Watches the event loop, the store's thread and the uplink, and reports their status to systemd.

    ``probe`` returns once the store's thread has processed a call. ``uplink_progress_s`` wakes the uplink and returns
    the loop time of its last step. ``status`` returns one line for people.
    """

    def __init__(
        self,
        notifier: Notifier,
        probe: Callable[[], Awaitable[None]],
        uplink_progress_s: Callable[[], float],
        status: Callable[[], str],
    ) -> None:
        self._notifier = notifier
        self._probe = probe
        self._uplink_progress_s = uplink_progress_s
        self._status = status
        self._now_s = asyncio.get_running_loop().time
        self._liveness = Liveness({"store": STORE_S, "uplink": UPLINK_S}, self._now_s())
        self._period_s = min(_MAX_PERIOD_S, self._notifier.watchdog_s / 4 or _MAX_PERIOD_S)
        self._reported: set[str] = set()

    async def run(self) -> None:
        """Feed the watchdog for ever. That this loop runs at all shows that the event loop is alive."""
        showing = asyncio.create_task(self._show_status(), name="status")
        probing: asyncio.Future[None] | None = None
        try:
            while True:
                if probing is None or probing.done():
                    if probing is not None and not probing.cancelled() and probing.exception() is None:
                        self._liveness.progressed("store", self._now_s())
                    probing = asyncio.ensure_future(self._probe())
                self._liveness.progressed("uplink", self._uplink_progress_s())
                stalled = self._liveness.stalled(self._now_s())
                if not stalled:
                    self._reported.clear()
                    self._notifier.feed()
                self._warn(stalled)
                self._arm_traceback()
                if showing.done():
                    showing.result()  # it ends only with an internal error
                await asyncio.sleep(self._period_s)
        finally:
            showing.cancel()
            faulthandler.cancel_dump_traceback_later()
            if probing is not None:
                probing.cancel()

    async def _show_status(self) -> None:
        """Keep the status line of ``systemctl status`` at most :data:`STATUS_S` old."""
        while True:
            self._notifier.status(self._status())
            await asyncio.sleep(STATUS_S)

    def _warn(self, stalled: Mapping[str, float]) -> None:
        for part in stalled.keys() - self._reported:
            self._reported.add(part)
            line = _("{part} has made no progress for {n:.0f} s; not notifying the systemd watchdog").format(
                part=part, n=stalled[part]
            )
            _log.critical(line, extra=log_extra(LogCode.STALLED))
            faulthandler.dump_traceback(sys.stderr)

    def _arm_traceback(self) -> None:
        """Dump the stack of every thread if the event loop stalls, shortly before systemd kills the agent."""
        if self._notifier.watchdog_s:
            faulthandler.dump_traceback_later(0.7 * self._notifier.watchdog_s, file=sys.stderr)
