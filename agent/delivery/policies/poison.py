"""Finds the row that a broker cannot take, so that it holds up nothing behind it. Pure.

A broker may answer a message with a refusal, with silence, or by closing the connection; then the same message would
come first again in the next session, for ever. So a message that failed is halved until its rows are alone. A row that
fails alone is set aside, and given up once another row of its stream was taken: until then the fault may be with the
topic (an ACL that disconnects) or with the link, and the stream is paused instead. Where there is no other row, it is
tried again after pauses, and given up after as many rounds. If all rows arrive in smaller messages, the size was the
fault, and messages stay that small for an hour.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.base.ranges import Ranges
from agent.delivery.timings import DeliveryTimings
from agent.delivery.window import InFlight

_TRIES = 3
"""How often a row alone may fail without an answer from the broker; and in how many rounds, if it is the only one."""
_CALM = 16
"""Messages acknowledged one at a time, after which several may be under way again."""
_MIN_BYTES = 256


@dataclass(slots=True)
class _Case:
    """A range of rows whose message failed. ``rows``: how many may share a message now; ``left``: not acknowledged and
    not set aside yet; ``largest_bytes``: of the messages that were acknowledged; ``paused``: whether its stream was
    paused, so that what was set aside is tried once more before it is given up; ``rounds``: in how many of them the
    only row has failed."""

    left: Ranges
    rows: int
    tries: int = 0
    passed: int = 0
    largest_bytes: int = 0
    paused: bool = False
    rounds: int = 0
    aside: Ranges = field(default_factory=Ranges)


class PoisonFinder:
    """Lives as long as the process, over all sessions. Times are monotonic seconds.

    ``lockstep``: only one message may be under way, so that it is known which one ends the connection.
    ``given_up``: (stream, first, one after the last) of rows that the broker cannot take; to be emptied by the caller.
    """

    def __init__(self, timings: DeliveryTimings) -> None:
        self._timings = timings
        self.lockstep = False
        self.given_up: list[tuple[str, int, int]] = []
        self._cases: dict[str, _Case] = {}
        self._suspects: defaultdict[str, Ranges] = defaultdict(Ranges)
        self._calm = 0
        self._small: tuple[float, int] | None = None
        self._silenced: defaultdict[str, int] = defaultdict(int)
        self._paused_until_s: dict[str, float] = {}
        self._pauses: defaultdict[str, int] = defaultdict(int)

    def max_rows(self, stream: str, number: int, usual: int) -> int:
        """How many rows a message that begins with ``number`` may have."""
        case = self._cases.get(stream)
        return min(usual, case.rows) if case is not None and (number in case.left or not case.passed) else usual

    def max_bytes(self, usual: int, now_s: float) -> int:
        """How long a message may be."""
        return min(usual, self._small[1]) if self._small is not None and now_s < self._small[0] else usual

    def aside(self, stream: str) -> Ranges:
        """Rows that are not to be sent now."""
        case = self._cases.get(stream)
        return case.aside if case is not None else Ranges()

    def paused_until_s(self, stream: str) -> float:
        """When the stream may be sent again; in the past where it may be now."""
        return self._paused_until_s.get(stream, 0.0)

    def acknowledged(self, flight: InFlight) -> None:
        """The broker took a message."""
        self._suspects[flight.stream].remove(flight.start, flight.stop)
        self._pauses.pop(flight.stream, None)
        case = self._cases.get(flight.stream)
        if case is not None:
            case.passed += flight.stop - flight.start
            case.largest_bytes = max(case.largest_bytes, flight.size_bytes)
            if case.left.overlaps(flight.start, flight.stop):
                case.tries = 0  # live rows that arrive before each try say nothing of the row that fails
            case.left.remove(flight.start, flight.stop)
            self._close(flight.stream, case, flight.sent_s)
        if self.lockstep and not self._cases:
            self._calm += 1
            self.lockstep = self._calm < _CALM

    def refused(self, flight: InFlight) -> None:
        """The broker said that it cannot take this payload: a row alone is given up at once."""
        if flight.stop - flight.start > 1:
            self._failed(flight, flight.sent_s)
            return
        self.given_up.append((flight.stream, flight.start, flight.stop))
        case = self._cases.get(flight.stream)
        if case is not None:
            case.left.remove(flight.start, flight.stop)
            self._close(flight.stream, case, flight.sent_s)

    def unanswered(self, flight: InFlight) -> None:
        """The broker acknowledged later messages, and not this one."""
        self._failed(flight, flight.sent_s)

    def lost(self, flights: Sequence[InFlight], now_s: float) -> None:
        """The connection ended with these messages unacknowledged, the oldest first."""
        flights = [flight for flight in flights if flight.stream]
        again = [flight for flight in flights if self._suspects[flight.stream].overlaps(flight.start, flight.stop)]
        if again and self.lockstep:
            self._failed(again[0], now_s)
        elif again:
            self.lockstep, self._calm = True, 0
        if flights:
            self._suspects.clear()
        for flight in flights:
            self._suspects[flight.stream].add(flight.start, flight.stop)

    def nothing_behind(self, stream: str, now_s: float) -> None:
        """Nothing else of the stream is owed: try what was set aside again after a pause, or give it up."""
        case = self._cases.get(stream)
        if case is None or len(case.left) or not len(case.aside):
            return
        if case.aside.count() == 1:
            case.rounds += 1
            if case.rounds >= _TRIES:
                self._end(stream, case)
                return
        self._pause(stream, case, now_s)

    def topic_lost(self, topic: str, now_s: float) -> bool:
        """The connection ended while a message without rows waited for its acknowledgement; whether the topic is left
        out from now on, for a while."""
        self._silenced[topic] += 1
        if self._silenced[topic] < _TRIES:
            return False
        del self._silenced[topic]
        self._paused_until_s[topic] = now_s + self._timings.max_pause_s
        return True

    def topic_heard(self, topic: str) -> None:
        """The broker answered to a message without rows."""
        self._silenced.pop(topic, None)

    def _failed(self, flight: InFlight, now_s: float) -> None:
        case = self._cases.get(flight.stream)
        if case is None:
            case = self._cases[flight.stream] = _Case(Ranges([(flight.start, flight.stop)]), flight.stop - flight.start)
        case.left.add(flight.start, flight.stop)
        rows = flight.stop - flight.start
        if rows > 1:
            case.rows = max(1, min(case.rows, rows // 2))
            return
        case.tries += 1
        if case.tries < _TRIES:
            return
        case.tries = 0
        case.aside.add(flight.start, flight.stop)
        case.left.remove(flight.start, flight.stop)
        if case.aside.count() > 1 and not case.passed:
            self._pause(flight.stream, case, now_s)
        else:
            self._close(flight.stream, case, now_s)

    def _close(self, stream: str, case: _Case, now_s: float) -> None:
        """End a case that is decided: nothing of it is left, and something of its stream was taken."""
        if len(case.left) or not case.passed:
            return
        if case.paused:
            case.paused, case.rows = False, 1
            case.left, case.aside = case.aside, Ranges()
            return
        self._end(stream, case)
        if not len(case.aside):
            self._small = now_s + self._timings.small_s, max(_MIN_BYTES, case.largest_bytes)

    def _end(self, stream: str, case: _Case) -> None:
        """What was set aside is given up."""
        del self._cases[stream]
        self.given_up += [(stream, start, stop) for start, stop in case.aside]

    def _pause(self, stream: str, case: _Case, now_s: float) -> None:
        """Rows fail alone and none is taken: perhaps it is not the rows."""
        case.paused = True
        self._paused_until_s[stream] = now_s + self._timings.paused_s(self._pauses[stream])
        self._pauses[stream] += 1
        if not len(case.left):
            case.rows, case.left, case.aside = 1, case.aside, Ranges()
