"""Streams whose topic the broker refuses (an ACL, a quota): when each is tried again. Pure."""

from collections import Counter

from agent.delivery.timings import DeliveryTimings


class DeniedStreams:
    """Of one connection. Times are seconds of any monotonic clock."""

    def __init__(self, timings: DeliveryTimings) -> None:
        self._timings = timings
        self._refusals: Counter[str] = Counter()
        self._until_s: dict[str, float] = {}

    def refused(self, stream: str, now_s: float) -> bool:
        """The broker refused a message: wait, twice as long each time. Whether this is the first refusal."""
        before = self._refusals[stream]
        self._refusals[stream] += 1
        self._until_s[stream] = now_s + self._timings.paused_s(before)
        return not before

    def taken(self, stream: str) -> bool:
        """The broker took a message. Whether it had refused the stream before."""
        return self._refusals.pop(stream, 0) > 0

    def until_s(self, stream: str) -> float:
        """When the stream may be sent again; in the past where it may be now."""
        return self._until_s.get(stream, 0.0)
