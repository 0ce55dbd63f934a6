"""A bounded queue of everything that waits for the store's next commit. No I/O."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping

from agent.base.reading import AGENT, Reading, Stamp, event
from agent.store.commit import Commit, Range
from agent.store.limits import StoreLimits

_OWN_EVENTS = event(AGENT)


class CommitQueue:
    """Holds readings, settled ranges, properties and descriptions. What is being committed is kept, and put back if the
    commit fails."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._pending: deque[Reading] = deque()
        self._settled: list[Range] = []
        self._committing: list[Range] = []
        self._remembered: dict[str, str] = {}
        self._descriptions: dict[str, bytes] = {}
        self._dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of waiting readings."""
        return len(self._pending)

    @property
    def empty(self) -> bool:
        """True if nothing is waiting."""
        return not (self._pending or self._settled or self._remembered or self._descriptions)

    @property
    def full(self) -> bool:
        """True if the sensors should pause."""
        return len(self._pending) >= self._limits.pause_pending

    @property
    def has_room(self) -> bool:
        """True if paused sensors may resume."""
        return len(self._pending) < self._limits.resume_pending

    def append(self, reading: Reading) -> None:
        """Add a reading. If the queue is full, the oldest reading is dropped and counted."""
        if len(self._pending) >= self._limits.max_pending:
            self._drop_oldest()
        self._pending.append(reading)

    def _drop_oldest(self) -> None:
        """Drop the oldest reading, but not the agent's own events: one may be the only record of lost readings."""
        for place, oldest in enumerate(self._pending):
            if oldest.stream != _OWN_EVENTS:
                del self._pending[place]
                self._dropped[oldest.stream] += 1
                return
        self._dropped[self._pending.popleft().stream] += 1

    def settle(self, stream: str, start: int, stop: int) -> None:
        """Add a settled range."""
        self._settled.append((stream, start, stop))

    def remember(self, name: str, value: str) -> None:
        """Add a property; a newer value of the same name replaces it."""
        self._remembered[name] = value

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Add a description."""
        self._descriptions[meta_hash] = sensors

    def description(self, meta_hash: str) -> bytes | None:
        """Return a waiting description."""
        return self._descriptions.get(meta_hash)

    def settled(self) -> Iterator[Range]:
        """Yield the settled ranges that are waiting or being committed."""
        yield from self._committing
        yield from self._settled

    def begin(self, max_rows: int, now: Stamp, meta_hash: str) -> Commit:
        """Return the next commit, with at most ``max_rows`` readings."""
        readings = [self._pending.popleft() for _ in range(min(len(self._pending), max_rows))]
        self._committing, self._settled = self._settled, []
        remembered, self._remembered = self._remembered, {}
        return Commit(readings, now, meta_hash, self._committing, remembered, dict(self._descriptions))

    def done(self, commit: Commit) -> None:
        """Forget the commit: it succeeded."""
        self._committing = []
        for meta_hash, sensors in commit.descriptions.items():
            if self._descriptions.get(meta_hash) is sensors:
                del self._descriptions[meta_hash]

    def put_back(self, commit: Commit) -> None:
        """Put the commit back at the front of the queue: it failed."""
        self._committing = []
        self._settled = commit.settled + self._settled
        self._remembered = {**commit.properties, **self._remembered}
        self._pending.extendleft(reversed(commit.readings))

    def pop_dropped(self) -> Mapping[str, int]:
        """Return how many readings of each stream were dropped since the last call."""
        dropped, self._dropped = self._dropped, Counter()
        return dropped
