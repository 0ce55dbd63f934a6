"""Finds the row that a broker cannot accept, so that it does not block the rows behind it. No I/O.

A broker may respond to a message with a refusal, with silence, or by closing the connection; then the same message
would be first again in the next session, forever. So a message that failed is halved until its rows are sent alone. A
row that fails alone is set aside, and given up once another row of its stream was accepted: until then the topic (an
ACL that disconnects) or the link may be at fault, and the stream is paused instead. If there is no other row, it is
retried after pauses, and given up after as many rounds. If all rows arrive in smaller messages, the size was at fault,
and messages stay that small for an hour.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.base.ranges import Ranges
from agent.delivery.timings import DeliveryTimings
from agent.delivery.window import InFlight

_MAX_TRIES = 3
"""How often a single row may fail without an answer from the broker; and in how many rounds, if it is the only one."""
_CLEAN_ACKS = 16
"""Messages acknowledged one at a time before several may be in flight again."""
_MIN_BYTES = 256


@dataclass(slots=True)
class _Case:
    """A range of rows whose message failed. ``rows``: how many may share a message now; ``pending``: neither
    acknowledged nor set aside yet; ``largest_bytes``: of the messages acknowledged; ``paused``: its stream was paused,
    so rows set aside are tried once more before they are given up; ``rounds``: in how many rounds the only row has
    failed."""

    pending: Ranges
    rows: int
    tries: int = 0
    passed: int = 0
    largest_bytes: int = 0
    paused: bool = False
    rounds: int = 0
    aside: Ranges = field(default_factory=Ranges)


class PoisonFinder:
    """Lives as long as the process, across all sessions. Times are monotonic seconds.

    ``lockstep``: only one message may be in flight, to find out which one ends the connection. ``given_up``: (stream,
    first number, number after the last) of rows that the broker cannot accept; the caller empties it.
    """

    def __init__(self, timings: DeliveryTimings) -> None:
        self._timings = timings
        self.lockstep = False
        self.given_up: list[tuple[str, int, int]] = []
        self._cases: dict[str, _Case] = {}
        self._suspects: defaultdict[str, Ranges] = defaultdict(Ranges)
        self._clean_acks = 0
        self._size_limit: tuple[float, int] | None = None
        self._unanswered_topics: defaultdict[str, int] = defaultdict(int)
        self._paused_until_s: dict[str, float] = {}
        self._pauses: defaultdict[str, int] = defaultdict(int)

    def max_rows(self, stream: str, number: int, default: int) -> int:
        """Return how many rows a message that begins with ``number`` may have."""
        case = self._cases.get(stream)
        return min(default, case.rows) if case is not None and (number in case.pending or not case.passed) else default

    def max_bytes(self, default: int, now_s: float) -> int:
        """Return the maximum size of a message."""
        return (
            min(default, self._size_limit[1])
            if self._size_limit is not None and now_s < self._size_limit[0]
            else default
        )

    def set_aside(self, stream: str) -> Ranges:
        """Return the rows not to be sent now."""
        case = self._cases.get(stream)
        return case.aside if case is not None else Ranges()

    def paused_until_s(self, stream: str) -> float:
        """Return when the stream may be sent again; a past time if it may be now."""
        return self._paused_until_s.get(stream, 0.0)

    def on_acknowledged(self, flight: InFlight) -> None:
        """Record that the broker accepted a message."""
        self._suspects[flight.stream].remove(flight.start, flight.stop)
        self._pauses.pop(flight.stream, None)
        case = self._cases.get(flight.stream)
        if case is not None:
            case.passed += flight.stop - flight.start
            case.largest_bytes = max(case.largest_bytes, flight.size_bytes)
            if case.pending.overlaps(flight.start, flight.stop):
                case.tries = 0  # acknowledged live rows before each attempt say nothing about the failing row
            case.pending.remove(flight.start, flight.stop)
            self._close(flight.stream, case, flight.sent_s)
        if self.lockstep and not self._cases:
            self._clean_acks += 1
            self.lockstep = self._clean_acks < _CLEAN_ACKS

    def on_refused(self, flight: InFlight) -> None:
        """Record that the broker cannot accept this payload: a single row is given up at once."""
        if flight.stop - flight.start > 1:
            self._failed(flight, flight.sent_s)
            return
        self.given_up.append((flight.stream, flight.start, flight.stop))
        case = self._cases.get(flight.stream)
        if case is not None:
            case.pending.remove(flight.start, flight.stop)
            self._close(flight.stream, case, flight.sent_s)

    def on_unanswered(self, flight: InFlight) -> None:
        """Record that the broker acknowledged later messages, but not this one."""
        self._failed(flight, flight.sent_s)

    def on_connection_lost(self, flights: Sequence[InFlight], now_s: float) -> None:
        """Record that the connection ended with these messages unacknowledged, oldest first."""
        flights = [flight for flight in flights if flight.stream]
        repeated = [flight for flight in flights if self._suspects[flight.stream].overlaps(flight.start, flight.stop)]
        if repeated and self.lockstep:
            self._failed(repeated[0], now_s)
        elif repeated:
            self.lockstep, self._clean_acks = True, 0
        if flights:
            self._suspects.clear()
        for flight in flights:
            self._suspects[flight.stream].add(flight.start, flight.stop)

    def on_backlog_empty(self, stream: str, now_s: float) -> None:
        """Nothing else of the stream is unsent: retry the rows set aside after a pause, or give them up."""
        case = self._cases.get(stream)
        if case is None or len(case.pending) or not len(case.aside):
            return
        if case.aside.count() == 1:
            case.rounds += 1
            if case.rounds >= _MAX_TRIES:
                self._end(stream, case)
                return
        self._pause(stream, case, now_s)

    def on_topic_lost(self, topic: str, now_s: float) -> bool:
        """Record that the connection ended while a message without rows was unacknowledged; return whether to skip the
        topic from now on, for a while."""
        self._unanswered_topics[topic] += 1
        if self._unanswered_topics[topic] < _MAX_TRIES:
            return False
        del self._unanswered_topics[topic]
        self._paused_until_s[topic] = now_s + self._timings.max_pause_s
        return True

    def on_topic_answered(self, topic: str) -> None:
        """Record that the broker answered a message without rows."""
        self._unanswered_topics.pop(topic, None)

    def _failed(self, flight: InFlight, now_s: float) -> None:
        case = self._cases.get(flight.stream)
        if case is None:
            case = self._cases[flight.stream] = _Case(Ranges([(flight.start, flight.stop)]), flight.stop - flight.start)
        case.pending.add(flight.start, flight.stop)
        rows = flight.stop - flight.start
        if rows > 1:
            case.rows = max(1, min(case.rows, rows // 2))
            return
        case.tries += 1
        if case.tries < _MAX_TRIES:
            return
        case.tries = 0
        case.aside.add(flight.start, flight.stop)
        case.pending.remove(flight.start, flight.stop)
        if case.aside.count() > 1 and not case.passed:
            self._pause(flight.stream, case, now_s)
        else:
            self._close(flight.stream, case, now_s)

    def _close(self, stream: str, case: _Case, now_s: float) -> None:
        """Close a case that is decided: none of its rows is left, and another row of its stream was accepted."""
        if len(case.pending) or not case.passed:
            return
        if case.paused:
            case.paused, case.rows = False, 1
            case.pending, case.aside = case.aside, Ranges()
            return
        self._end(stream, case)
        if not len(case.aside):
            self._size_limit = now_s + self._timings.small_s, max(_MIN_BYTES, case.largest_bytes)

    def _end(self, stream: str, case: _Case) -> None:
        """Give up the rows that were set aside."""
        del self._cases[stream]
        self.given_up += [(stream, start, stop) for start, stop in case.aside]

    def _pause(self, stream: str, case: _Case, now_s: float) -> None:
        """Pause the stream: rows fail alone and none is accepted, so perhaps the rows are not at fault."""
        case.paused = True
        self._paused_until_s[stream] = now_s + self._timings.paused_s(self._pauses[stream])
        self._pauses[stream] += 1
        if not len(case.pending):
            case.rows, case.pending, case.aside = 1, case.aside, Ranges()
