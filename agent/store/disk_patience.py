"""When numbers are given in memory because the disk takes nothing, and when it is tried again. Pure."""

from agent.store.limits import StoreLimits


class DiskPatience:
    """How long commits may fail. Times are milliseconds of any monotonic clock."""

    def __init__(self, limits: StoreLimits) -> None:
        self._patience_ms = limits.patience_s * 1000
        self._failing_since_ms: int | None = None

    def failed(self, now_ms: int) -> bool:
        """A commit failed. Whether there has been patience enough."""
        if self._failing_since_ms is None:
            self._failing_since_ms = now_ms
        return now_ms - self._failing_since_ms >= self._patience_ms

    def worked(self) -> None:
        """The disk took something."""
        self._failing_since_ms = None

    def hurry(self) -> None:
        """There is no time to wait for a disk."""
        self._patience_ms = 0


class Probe:
    """When a disk that takes nothing is tried again: soon, and then twice as late each time."""

    def __init__(self, limits: StoreLimits) -> None:
        self._first_ms, self._max_ms = round(limits.probe_s * 1000), round(limits.max_probe_s * 1000)
        self._wait_ms = self._first_ms
        self._due_ms = 0

    def begin(self, now_ms: int) -> None:
        """The disk has just failed."""
        self._wait_ms = self._first_ms
        self._due_ms = now_ms + self._wait_ms

    def due(self, now_ms: int) -> bool:
        """Whether to try it now; then the next time is later."""
        if now_ms < self._due_ms:
            return False
        self._wait_ms = min(self._max_ms, self._wait_ms * 2)
        self._due_ms = now_ms + self._wait_ms
        return True
