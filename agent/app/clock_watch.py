"""Looks at the clock: keeps the newest trusted time, and what becomes of rows that were measured before it was set."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.base.clock_trust import STEP_MS, dump_state, parse_state
from agent.base.codes import LogCode, log_extra
from agent.base.events import clock_set
from agent.base.i18n import _
from agent.base.reading import Stamp
from agent.base.trusted_time import rfc_3339
from agent.store.boot_times import BootTimes
from agent.store.stream_account import StreamAccount

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_KEEP_MS = 60_000
"""A start with a clock that is behind by less than this may not be noticed."""
_FLOOR, _BOOTS = "clock.floor", "clock.boots"


class Clock(Protocol):
    """What tells the time, and its newest trusted time."""

    @property
    def floor_ms(self) -> int: ...
    @property
    def proven_ms(self) -> int: ...
    def now(self) -> Stamp: ...
    def restore(self, floor_ms: int, proven_ms: int = 0) -> None: ...


class Store(Protocol):
    """What keeps things over a restart."""

    accounts: dict[str, StreamAccount]
    times: BootTimes

    async def newest_ms(self) -> int: ...
    def announce(self, row: Mapping[str, object]) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class ClockWatch:
    """``bid``: the boot that runs. ``on_set``: called when the clock was set: rows wait no longer."""

    def __init__(self, clock: Clock, boot_id: str) -> None:
        self._clock = clock
        self._bid = boot_id
        self._store: Store
        self._kept_ms: int | None = None
        self.on_set: Callable[[], None] = lambda: None

    async def begin(self, store: Store) -> None:
        """Recall what was known before this start, and have a first look: before anything is measured."""
        self._store = store
        known = parse_state(store.recall(_FLOOR))
        # A store of an earlier release has rows alone.
        self._clock.restore(*(known or (await store.newest_ms(), 0)))
        store.times.restore(store.recall(_BOOTS))
        self.look()

    async def run(self) -> None:
        """Look at the clock again and again."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Notice when the clock is set, and tell of it."""
        now, times = self._clock.now(), self._store.times
        offset_ms = now.t - now.mono_ms
        if not now.clock_quality:
            if times.on_clock_unset(offset_ms):
                self._store.remember(_BOOTS, times.dump())
            return
        news = times.on_clock_set(now.mono_ms, offset_ms, now.clock_quality, self._store.accounts)
        told = times.next_correction(now.mono_ms)
        if news or told:
            self._store.remember(_BOOTS, times.dump())
        if told:
            self._store.announce(clock_set(self._bid, *told))
            line = _("the clock was set from {before} to {now}").format(before=rfc_3339(told[0]), now=rfc_3339(told[1]))
            _log.warning(line, extra=log_extra(LogCode.CLOCK_SET))
        if news:
            self.on_set()
        if self._kept_ms is None or not -STEP_MS < self._clock.floor_ms - self._kept_ms < _KEEP_MS:
            self.keep()

    def keep(self) -> None:
        """Have the newest trusted time known at the next start."""
        self._kept_ms = self._clock.floor_ms
        self._store.remember(_FLOOR, dump_state(self._clock.floor_ms, self._clock.proven_ms))
