"""What waits for the next commit of the store, bounded. Pure."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping

from agent.base.reading import AGENT, Reading, Stamp, event
from agent.store.commit import Commit, Range
from agent.store.limits import StoreLimits

_OWN_EVENTS = event(AGENT)


class CommitQueue:
    """Readings, settled ranges, texts to remember and descriptions. What is being committed is still its own: it comes
    back where the commit fails."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._pending: deque[Reading] = deque()
        self._settled: list[Range] = []
        self._committing: list[Range] = []
        self._remembered: dict[str, str] = {}
        self._descriptions: dict[str, bytes] = {}
        self._dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many readings wait."""
        return len(self._pending)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not (self._pending or self._settled or self._remembered or self._descriptions)

    @property
    def full(self) -> bool:
        """Whether the sensors had better wait."""
        return len(self._pending) >= self._limits.full_pending

    @property
    def roomy(self) -> bool:
        """Whether the sensors need not wait any more."""
        return len(self._pending) < self._limits.roomy_pending

    def append(self, reading: Reading) -> None:
        """Take a reading; where there are too many, the oldest is dropped, and counted."""
        if len(self._pending) >= self._limits.max_pending:
            self._drop_oldest()
        self._pending.append(reading)

    def _drop_oldest(self) -> None:
        """Make room. The agent's own events stay: one may be the only trace of readings that are lost."""
        for place, oldest in enumerate(self._pending):
            if oldest.stream != _OWN_EVENTS:
                del self._pending[place]
                self._dropped[oldest.stream] += 1
                return
        self._dropped[self._pending.popleft().stream] += 1

    def settle(self, stream: str, start: int, stop: int) -> None:
        """Take a settled range."""
        self._settled.append((stream, start, stop))

    def remember(self, name: str, value: str) -> None:
        """Take a text; a newer one of the same name replaces it."""
        self._remembered[name] = value

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Take a description."""
        self._descriptions[meta_hash] = sensors

    def description(self, meta_hash: str) -> bytes | None:
        """A description that waits."""
        return self._descriptions.get(meta_hash)

    def settled(self) -> Iterator[Range]:
        """The settled ranges that wait or are being committed."""
        yield from self._committing
        yield from self._settled

    def begin(self, max_rows: int, now: Stamp, meta_hash: str) -> Commit:
        """The next commit, with at most ``max_rows`` readings."""
        readings = [self._pending.popleft() for _ in range(min(len(self._pending), max_rows))]
        self._committing, self._settled = self._settled, []
        remembered, self._remembered = self._remembered, {}
        return Commit(readings, now, meta_hash, self._committing, remembered, dict(self._descriptions))

    def done(self, commit: Commit) -> None:
        """It is committed."""
        self._committing = []
        for meta_hash, sensors in commit.descriptions.items():
            if self._descriptions.get(meta_hash) is sensors:
                del self._descriptions[meta_hash]

    def put_back(self, commit: Commit) -> None:
        """It could not be committed: it comes first next time."""
        self._committing = []
        self._settled = commit.settled + self._settled
        self._remembered = {**commit.properties, **self._remembered}
        self._pending.extendleft(reversed(commit.readings))

    def dropped(self) -> Mapping[str, int]:
        """How many readings of which stream were dropped since the last call."""
        dropped, self._dropped = self._dropped, Counter()
        return dropped
