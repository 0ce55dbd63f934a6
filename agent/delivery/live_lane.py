"""Which rows are still to be sent live, and what else outlives a session with the broker."""

from collections import defaultdict, deque
from collections.abc import Mapping

from agent.base.ranges import Ranges
from agent.delivery import wire
from agent.delivery.policies.poison import PoisonFinder
from agent.delivery.timings import DeliveryTimings
from agent.store.stream_account import StreamAccount


class LiveLane:
    """Which rows are still to be sent live, per stream. Lives as long as the process.

    Live messages of a stream have strictly rising numbers, so ``next`` never goes back: what is behind it and not
    settled is backlog. ``again``: settled rows that a subscriber asked for once more. ``described``: hashes of older
    descriptions that this session has sent. ``clearings``: how often an old path was cleared. ``poison``: what the
    broker cannot take.
    """

    def __init__(self, accounts: Mapping[str, StreamAccount], timings: DeliveryTimings) -> None:
        self.next = {name: account.next for name, account in accounts.items()}
        self.due_s: dict[str, float] = {}
        self.again: defaultdict[str, Ranges] = defaultdict(Ranges)
        self.poison = PoisonFinder(timings)
        self.described: set[str] = set()
        self.clearings = 0
        self._recent: dict[str, deque[tuple[int, int]]] = {}

    def fresh(self, stream: str, start: int, mono_ms: int, due_s: float) -> None:
        """A commit brought numbers from ``start``, first measured at ``mono_ms``; they must leave by ``due_s``."""
        self.next.setdefault(stream, start)
        self.due_s[stream] = min(due_s, self.due_s.get(stream, due_s))
        recent = self._recent.setdefault(stream, deque())
        # One mark a second is enough to find the first number of the last half minute.
        if not recent or mono_ms - recent[-1][0] >= 1000:
            recent.append((mono_ms, start))
        while recent[0][0] < mono_ms - wire.LIVE_MS and len(recent) > 1:
            recent.popleft()

    def skip_old(self, stream: str, following: int, mono_ms: int) -> None:
        """Leave to the backlog what was measured more than half a minute before ``mono_ms``; ``following``: the
        number after the stream's last."""
        # What follows a mark within its second has no mark of its own.
        oldest_ms = mono_ms - wire.LIVE_MS - 1000
        start = next((start for measured_ms, start in self._recent[stream] if measured_ms >= oldest_ms), following)
        self.next[stream] = max(self.next[stream], start)
