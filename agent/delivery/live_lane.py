"""Tracks the rows still to be sent live, and other state that outlives a session with the broker."""

from collections import defaultdict, deque
from collections.abc import Mapping

from agent.base.ranges import Ranges
from agent.delivery import wire
from agent.delivery.policies.poison import PoisonFinder
from agent.delivery.timings import DeliveryTimings
from agent.store.stream_account import StreamAccount


class LiveLane:
    """The rows still to be sent live, per stream. Lives as long as the process.

    Live messages of a stream have strictly increasing numbers, so ``next`` never decreases: unsettled rows below it are
    backlog. ``resend``: settled rows that a subscriber requested again. ``sent_descriptions``: hashes of the older
    descriptions sent in this session. ``clear_attempts``: attempts to clear the old path. ``poison``: finds rows that
    the broker cannot accept.
    """

    def __init__(self, accounts: Mapping[str, StreamAccount], timings: DeliveryTimings) -> None:
        self.next = {name: account.next for name, account in accounts.items()}
        self.due_s: dict[str, float] = {}
        self.resend: defaultdict[str, Ranges] = defaultdict(Ranges)
        self.poison = PoisonFinder(timings)
        self.sent_descriptions: set[str] = set()
        self.clear_attempts = 0
        self._recent: dict[str, deque[tuple[int, int]]] = {}

    def add_committed(self, stream: str, start: int, mono_ms: int, due_s: float) -> None:
        """Add the numbers of a commit from ``start`` on, first measured at ``mono_ms``; they must be sent by
        ``due_s``."""
        self.next.setdefault(stream, start)
        self.due_s[stream] = min(due_s, self.due_s.get(stream, due_s))
        recent = self._recent.setdefault(stream, deque())
        # One mark a second is enough to find the first number of the last half minute.
        if not recent or mono_ms - recent[-1][0] >= 1000:
            recent.append((mono_ms, start))
        while recent[0][0] < mono_ms - wire.LIVE_MS and len(recent) > 1:
            recent.popleft()

    def skip_old(self, stream: str, following: int, mono_ms: int) -> None:
        """Move rows measured more than half a minute before ``mono_ms`` to the backlog. ``following``: the number after
        the stream's last."""
        # Rows within a second after a mark have no mark of their own.
        oldest_ms = mono_ms - wire.LIVE_MS - 1000
        start = next((start for measured_ms, start in self._recent[stream] if measured_ms >= oldest_ms), following)
        self.next[stream] = max(self.next[stream], start)
