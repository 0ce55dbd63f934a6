"""Feeds systemd's watchdog for as long as every part of the agent moves, whatever comes of what it does.

A broker that is away or a disk that is full is no reason to restart: trying counts as moving.
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

_LONGEST_PERIOD_S = 10.0
STATUS_S = 1.5
STORE_S = 60.0
"""A worn card may stall for many seconds in one write."""
UPLINK_S = 120.0
"""Longer than any attempt to connect takes."""


class Notifier(Protocol):
    """What the watchdog needs of systemd."""

    watchdog_s: float

    def feed(self) -> None: ...
    def status(self, line: str) -> None: ...


class Watchdog:
    """``probe``: comes back when the store's thread has taken a call; ``uplink_moved_s``: when the uplink's state
    machine did its last step (it is woken for that); ``status``: a line for people."""

    def __init__(
        self,
        notifier: Notifier,
        probe: Callable[[], Awaitable[None]],
        uplink_moved_s: Callable[[], float],
        status: Callable[[], str],
    ) -> None:
        self._notifier = notifier
        self._probe = probe
        self._uplink_moved_s = uplink_moved_s
        self._status = status
        self._now_s = asyncio.get_running_loop().time
        self._liveness = Liveness({"store": STORE_S, "uplink": UPLINK_S}, self._now_s())
        self._period_s = min(_LONGEST_PERIOD_S, self._notifier.watchdog_s / 4 or _LONGEST_PERIOD_S)
        self._told: set[str] = set()

    async def run(self) -> None:
        """Feed, for ever. That it comes round at all is the sign of the event loop, on which the sensors are read."""
        showing = asyncio.create_task(self._show_status(), name="status")
        probing: asyncio.Future[None] | None = None
        try:
            while True:
                if probing is None or probing.done():
                    if probing is not None and not probing.cancelled() and probing.exception() is None:
                        self._liveness.progressed("store", self._now_s())
                    probing = asyncio.ensure_future(self._probe())
                self._liveness.progressed("uplink", self._uplink_moved_s())
                stalled = self._liveness.stalled(self._now_s())
                if not stalled:
                    self._told.clear()
                    self._notifier.feed()
                self._warn(stalled)
                self._watch_the_loop()
                if showing.done():
                    showing.result()  # only a fault of the agent's own ends it
                await asyncio.sleep(self._period_s)
        finally:
            showing.cancel()
            faulthandler.cancel_dump_traceback_later()
            if probing is not None:
                probing.cancel()

    async def _show_status(self) -> None:
        """Keep the line of ``systemctl status`` at most :data:`STATUS_S` old."""
        while True:
            self._notifier.status(self._status())
            await asyncio.sleep(STATUS_S)

    def _warn(self, stalled: Mapping[str, float]) -> None:
        for part in stalled.keys() - self._told:
            self._told.add(part)
            line = _("{part} has made no progress for {n:.0f} s; not notifying the systemd watchdog").format(
                part=part, n=stalled[part]
            )
            _log.critical(line, extra=log_extra(LogCode.STALLED))
            faulthandler.dump_traceback(sys.stderr)

    def _watch_the_loop(self) -> None:
        """If the event loop stalls, the stack of every thread is written down before systemd ends it."""
        if self._notifier.watchdog_s:
            faulthandler.dump_traceback_later(0.7 * self._notifier.watchdog_s, file=sys.stderr)
