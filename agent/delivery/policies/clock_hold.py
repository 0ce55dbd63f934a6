"""Decides which rows wait for the clock to be set before they are sent."""

from collections.abc import Callable
from typing import Protocol

from agent.base.reading import Row
from agent.store.boot_times import BootTimes
from agent.store.stream_account import StreamAccount


class Store(Protocol):
    """The part of the store used here."""

    accounts: dict[str, StreamAccount]
    times: BootTimes


class ClockHold:
    """Holds rows of one connection. ``now_s``, ``mono_ms``: the clocks of the event loop and the boot. ``slack_s``:
    extra delay of a held row, so that several are sent together."""

    def __init__(self, store: Store, slack_s: float, now_s: Callable[[], float], mono_ms: Callable[[], int]) -> None:
        self._store = store
        self._slack_s = slack_s
        self._now_s = now_s
        self._mono_ms = mono_ms
        self._until_s: dict[str, float] = {}

    def wait_ms(self, stream: str, row: Row) -> int:
        """Return how long a row must wait, in milliseconds."""
        times = self._store.times
        # A settled row was sent before and keeps its time.
        if not times.is_unset or row.seq in self._store.accounts[stream].settled:
            return 0
        return times.wait_ms(stream, row, self._mono_ms())

    def ready_rows(self, stream: str, rows: list[Row]) -> list[Row]:
        """Return the leading rows that need not wait. If there are none, the stream is held."""
        for index, row in enumerate(rows if self._store.times.is_unset else ()):
            wait_ms = self.wait_ms(stream, row)
            if wait_ms:
                if not index:
                    self._until_s[stream] = self._now_s() + wait_ms / 1000 + self._slack_s
                return rows[:index]
        return rows

    def is_held(self, stream: str) -> bool:
        """Return whether the unsettled rows of this stream are waiting."""
        return self._store.times.is_unset and self._until_s.get(stream, 0.0) > self._now_s()

    def due_s(self) -> list[float]:
        """Return when to check the held streams again (loop seconds)."""
        return [until_s for stream, until_s in self._until_s.items() if self.is_held(stream)]
