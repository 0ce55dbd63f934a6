"""Watches the system clock: saves the newest trusted time, and corrects rows measured before the clock was set."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.base.codes import LogCode, log_extra
from agent.base.events import clock_set
from agent.base.i18n import _
from agent.base.reading import Stamp
from agent.base.timekeeping.clock_trust import STEP_MS, dump_state, parse_state
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.store.boot_times import BootTimes
from agent.store.stream_account import StreamAccount

_log = logging.getLogger(__name__)

_CHECK_S = 1.0
_SAVE_MS = 60_000
"""If the clock is behind by less than this at a start, that may go unnoticed."""
_FLOOR, _BOOTS = "clock.floor", "clock.boots"


class Clock(Protocol):
    """The system clock and the newest trusted time."""

    @property
    def floor_ms(self) -> int: ...
    @property
    def proven_ms(self) -> int: ...
    def now(self) -> Stamp: ...
    def restore(self, floor_ms: int, proven_ms: int = 0) -> None: ...


class Store(Protocol):
    """What the clock watch needs from the store: small values that survive a restart."""

    accounts: dict[str, StreamAccount]
    times: BootTimes

    async def newest_ms(self) -> int: ...
    def announce(self, row: Mapping[str, object]) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class ClockWatch:
    """Detects clock steps during one boot. ``on_set`` is called when the clock is set: rows no longer wait for it."""

    def __init__(self, clock: Clock, boot_id: str) -> None:
        self._clock = clock
        self._boot_id = boot_id
        self._store: Store
        self._saved_ms: int | None = None
        self.on_set: Callable[[], None] = lambda: None

    async def begin(self, store: Store) -> None:
        """Restore what was known before this start and check the clock once, before anything is measured."""
        self._store = store
        known = parse_state(store.recall(_FLOOR))
        # A store written by an earlier release contains only rows.
        self._clock.restore(*(known or (await store.newest_ms(), 0)))
        store.times.restore(store.recall(_BOOTS))
        self.check()

    async def run(self) -> None:
        """Check the clock once per second, for ever."""
        while True:
            await asyncio.sleep(_CHECK_S)
            self.check()

    def check(self) -> None:
        """Detect whether the clock was set, and announce it."""
        now, times = self._clock.now(), self._store.times
        offset_ms = now.t - now.mono_ms
        if not now.clock_quality:
            if times.on_clock_unset(offset_ms):
                self._store.remember(_BOOTS, times.dump())
            return
        changed = times.on_clock_set(now.mono_ms, offset_ms, now.clock_quality, self._store.accounts)
        step = times.next_correction(now.mono_ms)
        if changed or step:
            self._store.remember(_BOOTS, times.dump())
        if step:
            self._store.announce(clock_set(self._boot_id, *step))
            line = _("the clock was set from {before} to {now}").format(before=rfc_3339(step[0]), now=rfc_3339(step[1]))
            _log.warning(line, extra=log_extra(LogCode.CLOCK_SET))
        if changed:
            self.on_set()
        if self._saved_ms is None or not -STEP_MS < self._clock.floor_ms - self._saved_ms < _SAVE_MS:
            self.save()

    def save(self) -> None:
        """Save the newest trusted time for the next start."""
        self._saved_ms = self._clock.floor_ms
        self._store.remember(_FLOOR, dump_state(self._clock.floor_ms, self._clock.proven_ms))
