"""Tracks streams whose topic the broker refuses (ACL, quota), and when to retry each. No I/O."""

from collections import Counter

from agent.delivery.timings import DeliveryTimings


class DeniedStreams:
    """The refused streams of one connection. Times are seconds of any monotonic clock."""

    def __init__(self, timings: DeliveryTimings) -> None:
        self._timings = timings
        self._refusals: Counter[str] = Counter()
        self._until_s: dict[str, float] = {}

    def record_refusal(self, stream: str, now_s: float) -> bool:
        """Record a refusal: the stream waits twice as long each time. Return whether this is the first refusal."""
        before = self._refusals[stream]
        self._refusals[stream] += 1
        self._until_s[stream] = now_s + self._timings.paused_s(before)
        return not before

    def record_accepted(self, stream: str) -> bool:
        """Record an accepted message. Return whether the stream was refused before."""
        return self._refusals.pop(stream, 0) > 0

    def until_s(self, stream: str) -> float:
        """Return when the stream may be sent again; a past time if it may be now."""
        return self._until_s.get(stream, 0.0)
