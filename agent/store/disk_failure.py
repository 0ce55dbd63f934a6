"""Decides when a failing disk is replaced by memory, and when the disk is tried again. No I/O."""

from agent.store.limits import StoreLimits


class FailureGrace:
    """How long commits may fail. Times are milliseconds of any monotonic clock."""

    def __init__(self, limits: StoreLimits) -> None:
        self._grace_ms = limits.failure_grace_s * 1000
        self._failing_since_ms: int | None = None

    def failed(self, now_ms: int) -> bool:
        """Record a failed commit; return whether commits have failed for too long."""
        if self._failing_since_ms is None:
            self._failing_since_ms = now_ms
        return now_ms - self._failing_since_ms >= self._grace_ms

    def succeeded(self) -> None:
        """Record a successful commit."""
        self._failing_since_ms = None

    def skip(self) -> None:
        """End the grace period now: there is no time to wait for the disk."""
        self._grace_ms = 0


class DiskProbe:
    """When to retry a failing disk: soon, then after twice the delay each time."""

    def __init__(self, limits: StoreLimits) -> None:
        self._first_ms, self._max_ms = round(limits.probe_s * 1000), round(limits.max_probe_s * 1000)
        self._wait_ms = self._first_ms
        self._due_ms = 0

    def begin(self, now_ms: int) -> None:
        """Start over: the disk has just failed."""
        self._wait_ms = self._first_ms
        self._due_ms = now_ms + self._wait_ms

    def due(self, now_ms: int) -> bool:
        """Return whether to try the disk now; if so, the next attempt is scheduled later."""
        if now_ms < self._due_ms:
            return False
        self._wait_ms = min(self._max_ms, self._wait_ms * 2)
        self._due_ms = now_ms + self._wait_ms
        return True
