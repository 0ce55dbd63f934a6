"""The sliding window: messages sent but not acknowledged, and whether more may follow. No I/O."""

from collections import defaultdict
from typing import NamedTuple

from agent.base.ranges import Ranges

MAX_MESSAGES = 32
MAX_BYTES = 1_048_576
CAREFUL_BYTES = 16_384
"""The initial window on a link that did not acknowledge in time before."""
_FIRST_BYTES = 65_536


class InFlight(NamedTuple):
    """A message in flight: numbers ``[start, stop)`` of a stream, and when it was sent (monotonic seconds). A message
    without rows (``state``, ``meta``, ``streams``) has an empty range."""

    stream: str
    start: int
    stop: int
    size_bytes: int
    sent_s: float
    late: bool


class Window:
    """Limited by messages (also by the broker's Receive Maximum) and by bytes. The byte limit grows with what is
    acknowledged, so that a slow link gets no more than it can carry within the acknowledgement timeout."""

    def __init__(self, receive_maximum: int, careful: bool) -> None:
        self._messages = min(MAX_MESSAGES, receive_maximum)
        self._limit_bytes = CAREFUL_BYTES if careful else _FIRST_BYTES
        self._flights: dict[int, InFlight] = {}
        self._bytes = 0
        self._late = 0
        self.acknowledged_s = 0.0
        """When the newest acknowledged message was sent."""
        self.lockstep = False
        """True if only one message may be in flight."""
        self.in_flight: defaultdict[str, Ranges] = defaultdict(Ranges)

    def __len__(self) -> int:
        return len(self._flights)

    def has_room(self, late: bool) -> bool:
        """Return whether one more message may be sent. Late ones use half of the window, so that a live one always
        finds room."""
        if not self._flights:
            return True
        if self.lockstep:
            return False
        if late and self._late >= max(1, self._messages // 2):
            return False
        return len(self._flights) < self._messages and self._bytes < self._limit_bytes // (2 if late else 1)

    def add(self, mid: int, flight: InFlight) -> None:
        """Record a sent message."""
        self._flights[mid] = flight
        self._bytes += flight.size_bytes
        self._late += flight.late
        self.in_flight[flight.stream].add(flight.start, flight.stop)

    def acknowledge(self, mid: int) -> InFlight | None:
        """Process a PUBACK. Return ``None`` if no message of this id is in flight (a duplicate or an invented id)."""
        flight = self._pop(mid)
        if flight is not None:
            self._limit_bytes = min(MAX_BYTES, self._limit_bytes + flight.size_bytes)
            self.acknowledged_s = max(self.acknowledged_s, flight.sent_s)
        return flight

    def pop_skipped(self, before_s: float) -> list[InFlight]:
        """Remove and return the messages sent before ``before_s`` and before another acknowledged one: the broker will
        not acknowledge them any more."""
        skipped = [mid for mid, flight in self._flights.items() if flight.sent_s < min(before_s, self.acknowledged_s)]
        return [flight for mid in skipped if (flight := self._pop(mid)) is not None]

    def unacknowledged(self) -> list[InFlight]:
        """Return the messages in flight, oldest first."""
        return list(self._flights.values())

    def oldest_s(self) -> float | None:
        """Return when the oldest unacknowledged message was sent."""
        return next(iter(self._flights.values())).sent_s if self._flights else None

    def _pop(self, mid: int) -> InFlight | None:
        flight = self._flights.pop(mid, None)
        if flight is not None:
            self._bytes -= flight.size_bytes
            self._late -= flight.late
            self.in_flight[flight.stream].remove(flight.start, flight.stop)
        return flight
