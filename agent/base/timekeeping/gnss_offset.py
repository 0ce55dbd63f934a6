"""Derives the time from what a GNSS receiver sends. No I/O."""

from collections import deque

_WINDOW = 10
_MIN_SAMPLES = 3
_MAX_SPREAD_MS = 1500
FRESH_MS = 600_000
"""A computer's crystal is off by at most 100 ppm: 60 ms in this time."""


class GnssOffset:
    """When the boot began, by a GNSS receiver. Times are Unix milliseconds; ``mono_ms`` is milliseconds since boot.

    A sentence arrives late, by up to a second at 9600 baud, and never early: so the largest offset of the last
    sentences is the best one. An offset counts only while the last sentences agree.
    """

    def __init__(self) -> None:
        self._offsets: deque[int] = deque(maxlen=_WINDOW)
        self._offset_ms: int | None = None
        self._agreed_ms = 0

    def offer(self, t: int, mono_ms: int) -> None:
        """Record that a sentence with the time ``t`` arrived."""
        self._offsets.append(t - mono_ms)
        spread_ms = max(self._offsets) - min(self._offsets)
        if len(self._offsets) >= _MIN_SAMPLES and spread_ms <= _MAX_SPREAD_MS:
            self._offset_ms, self._agreed_ms = max(self._offsets), mono_ms

    def time_ms(self, mono_ms: int) -> int | None:
        """Return the time, or ``None`` if the receiver has not told it during this run."""
        return None if self._offset_ms is None else self._offset_ms + mono_ms

    def is_fresh(self, mono_ms: int) -> bool:
        """Return whether the receiver confirmed the time recently."""
        return self._offset_ms is not None and mono_ms - self._agreed_ms <= FRESH_MS
