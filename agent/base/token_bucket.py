"""A rate limiter: a steady rate per second, with a burst. No I/O."""


class TokenBucket:
    """Allows ``per_s`` in the long run and ``burst`` at once. Times are seconds of any monotonic clock."""

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at_s = now_s

    def try_consume(self, now_s: float, count: float = 1.0) -> bool:
        """Use ``count`` tokens if available; return whether they were."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens < count:
            return False
        self._tokens -= count
        return True
