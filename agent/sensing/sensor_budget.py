"""Limits how much one sensor may store, so that a broken or hostile one harms neither the SD card nor the other
sensors. No I/O."""

from agent.base.token_bucket import TokenBucket

BURST_S = 600.0
"""The burst: as much as the rate allows in ten minutes."""
_URGENT_PER_S = 5.0
_URGENT_BURST = 50
_REPORT_S = 60.0
_SLOW_S = 0.25
_GARBAGE_BYTES = 65_536


class SensorBudget:
    """The budget of one sensor. Times are monotonic seconds. ``rows_per_s``: the average rate allowed."""

    def __init__(self, rows_per_s: float, now_s: float) -> None:
        self._rows = TokenBucket(rows_per_s, max(1.0, BURST_S * rows_per_s), now_s)
        self._urgent = TokenBucket(_URGENT_PER_S, _URGENT_BURST, now_s)
        self._dropped: dict[str, int] = {}
        self._report_s = 0.0
        self._over = False
        self._garbage_bytes = 0

    def allows(self, stream: str, now_s: float) -> bool:
        """Return whether a row of a stream may be stored; if not, it is counted."""
        if self._rows.try_consume(now_s):
            self._over = False
            return True
        if not self._dropped:
            self._report_s = now_s + _REPORT_S
        self._over = True
        self._dropped[stream] = self._dropped.get(stream, 0) + 1
        return False

    def allows_urgent(self, now_s: float) -> bool:
        """Return whether an event may be written at once: each one costs the card a separate write."""
        return self._urgent.try_consume(now_s)

    def record_data(self, size_bytes: int, items: int) -> None:
        """Record that bytes arrived, and how many items were found in them."""
        self._garbage_bytes = 0 if items else self._garbage_bytes + size_bytes

    def pause_s(self) -> float:
        """Return how long to leave further bytes with the kernel, in seconds: data over the budget and endless garbage
        are not worth decoding at full speed."""
        return _SLOW_S if self._over or self._garbage_bytes > _GARBAGE_BYTES else 0.0

    def report(self, now_s: float, final: bool = False) -> dict[str, int]:
        """Return the dropped rows to report now, by stream: once a minute, and at the end."""
        if not self._dropped or (now_s < self._report_s and not final):
            return {}
        dropped, self._dropped = self._dropped, {}
        return dropped
