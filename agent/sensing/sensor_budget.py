"""How much one sensor may store, so that a broken or hostile one costs neither the card nor the other sensors. Pure."""

from agent.base.token_bucket import TokenBucket

BURST_S = 600.0
"""At once: what the rate would give in ten minutes."""
_URGENT_PER_S = 5.0
_URGENT_BURST = 50
_REPORT_S = 60.0
_SLOW_S = 0.25
_GARBAGE_BYTES = 65_536


class SensorBudget:
    """Times are monotonic seconds. ``rows_per_s``: what is stored in the long run."""

    def __init__(self, rows_per_s: float, now_s: float) -> None:
        self._rows = TokenBucket(rows_per_s, max(1.0, BURST_S * rows_per_s), now_s)
        self._urgent = TokenBucket(_URGENT_PER_S, _URGENT_BURST, now_s)
        self._dropped: dict[str, int] = {}
        self._report_s = 0.0
        self._over = False
        self._garbage_bytes = 0

    def takes(self, stream: str, now_s: float) -> bool:
        """Whether a row of a stream may be stored; if not, it is counted."""
        if self._rows.try_consume(now_s):
            self._over = False
            return True
        if not self._dropped:
            self._report_s = now_s + _REPORT_S
        self._over = True
        self._dropped[stream] = self._dropped.get(stream, 0) + 1
        return False

    def urgent(self, now_s: float) -> bool:
        """Whether an event may still be written at once: each one costs the card a write of its own."""
        return self._urgent.try_consume(now_s)

    def heard(self, size_bytes: int, items: int) -> None:
        """Bytes came, and so much was found in them."""
        self._garbage_bytes = 0 if items else self._garbage_bytes + size_bytes

    def pause_s(self) -> float:
        """How long to leave further bytes with the kernel: what is more than the budget, and garbage without end, is
        not worth decoding at full speed."""
        return _SLOW_S if self._over or self._garbage_bytes > _GARBAGE_BYTES else 0.0

    def report(self, now_s: float, final: bool = False) -> dict[str, int]:
        """What was dropped and is to be told of now, by stream: once a minute, and at the end."""
        if not self._dropped or (now_s < self._report_s and not final):
            return {}
        dropped, self._dropped = self._dropped, {}
        return dropped
