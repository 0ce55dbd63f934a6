"""The sliding window: what was sent and is not acknowledged, and whether more may follow. Pure."""

from collections import defaultdict
from typing import NamedTuple

from agent.base.ranges import Ranges

MAX_MESSAGES = 32
MAX_BYTES = 1_048_576
CAREFUL_BYTES = 16_384
"""The first window on a link that did not acknowledge in time before."""
_FIRST_BYTES = 65_536


class InFlight(NamedTuple):
    """A message under way: numbers ``[start, stop)`` of a stream, and when it left (monotonic seconds). One that
    carries no rows (``state``, ``meta``, ``streams``) has an empty range."""

    stream: str
    start: int
    stop: int
    size_bytes: int
    sent_s: float
    late: bool


class Window:
    """Bounded by messages (the broker's Receive Maximum too) and by bytes; the bytes grow with what is acknowledged,
    so that a slow link is not given more than it can carry within the time for an acknowledgement."""

    def __init__(self, receive_maximum: int, careful: bool) -> None:
        self._messages = min(MAX_MESSAGES, receive_maximum)
        self._limit_bytes = CAREFUL_BYTES if careful else _FIRST_BYTES
        self._flights: dict[int, InFlight] = {}
        self._bytes = 0
        self._late = 0
        self.acknowledged_s = 0.0
        """When the newest message left that was acknowledged."""
        self.lockstep = False
        """Whether only one message may be under way."""
        self.under_way: defaultdict[str, Ranges] = defaultdict(Ranges)

    def __len__(self) -> int:
        return len(self._flights)

    def room(self, late: bool) -> bool:
        """Whether one more message may leave. Late ones use half of the window: a live one always finds room."""
        if not self._flights:
            return True
        if self.lockstep:
            return False
        if late and self._late >= max(1, self._messages // 2):
            return False
        return len(self._flights) < self._messages and self._bytes < self._limit_bytes // (2 if late else 1)

    def sent(self, mid: int, flight: InFlight) -> None:
        """A message has left."""
        self._flights[mid] = flight
        self._bytes += flight.size_bytes
        self._late += flight.late
        self.under_way[flight.stream].add(flight.start, flight.stop)

    def acknowledged(self, mid: int) -> InFlight | None:
        """A PUBACK came. ``None`` where nothing of that id is under way (a second one, or an invented one)."""
        flight = self._taken(mid)
        if flight is not None:
            self._limit_bytes = min(MAX_BYTES, self._limit_bytes + flight.size_bytes)
            self.acknowledged_s = max(self.acknowledged_s, flight.sent_s)
        return flight

    def passed_over(self, before_s: float) -> list[InFlight]:
        """Take out the messages that left before ``before_s`` and before another one that was acknowledged: the broker
        will not acknowledge them any more."""
        found = [mid for mid, flight in self._flights.items() if flight.sent_s < min(before_s, self.acknowledged_s)]
        return [flight for mid in found if (flight := self._taken(mid)) is not None]

    def unacknowledged(self) -> list[InFlight]:
        """What is under way, the oldest first."""
        return list(self._flights.values())

    def oldest_s(self) -> float | None:
        """When the oldest unacknowledged message left."""
        return next(iter(self._flights.values())).sent_s if self._flights else None

    def _taken(self, mid: int) -> InFlight | None:
        flight = self._flights.pop(mid, None)
        if flight is not None:
            self._bytes -= flight.size_bytes
            self._late -= flight.late
            self.under_way[flight.stream].remove(flight.start, flight.stop)
        return flight
