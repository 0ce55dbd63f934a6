"""The subscriber's account of every sequence number: what was received, what is lost, what is missing. Pure."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from agent.base.ranges import Ranges

GRACE_S = 5.0
"""A hole is reported after this time: the ``rows_lost`` event that explains it arrives on another topic."""
MAX_RANGES = 20_000
"""Ranges of numbers kept per gateway, over all its streams: about 2 MB, and far more than an honest gateway needs."""
_MAX_RISING = 1000
"""Steps of ``lo`` younger than the grace period. Beyond this, several share the time of the newest."""
_BEYOND_ALL = 1 << 62


class StreamId(NamedTuple):
    """Identifies a stream: gateway, ``telemetry/{sensor}`` or ``event/{sensor}``, epoch."""

    gateway: str
    stream: str
    epoch: str


class Gap(NamedTuple):
    """Numbers ``[start, stop)`` that did not arrive. ``why``: the reason in the ``rows_lost`` event, ``late`` (no event
    explains it: request it with ``command/resend``) or ``untracked`` (too many holes to keep: these numbers would no
    longer count as new)."""

    stream_id: StreamId
    start: int
    stop: int
    why: str


class Tally(NamedTuple):
    """Numbers of a stream. ``seen``: received. ``twice``: receptions of a number that was seen before. ``pending``:
    known to exist, but possibly still in transit. ``lost``: named by a ``rows_lost`` event. ``late``: settled by the
    gateway, but neither received nor lost: request them again."""

    seen: int
    twice: int
    pending: int
    lost: int
    late: int


class _Sums(NamedTuple):
    seen: int = 0
    lost: int = 0
    late: int = 0


class _Account:
    """The account of one stream, from ``base`` on: it ignores what was settled before this subscriber connected. Below
    ``floor`` it keeps only the sums in ``closed``."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.floor = 0
        self.closed = _Sums()
        self.seen = Ranges()
        self.lost = Ranges()
        self.reported = Ranges()
        self.low_water = base
        self.next = 0
        self.duplicates = 0
        self.rising: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        """Return the number of stored ranges."""
        return len(self.seen) + len(self.lost) + len(self.reported)

    def add(self, start: int, stop: int) -> list[int]:
        """Record numbers ``[start, stop)`` as received, and return the new ones."""
        first = max(start, self.floor)
        new = [number for gap in self.seen.gaps(first, stop) for number in range(*gap)]
        self.duplicates += stop - start - len(new)
        if first < stop:
            self.seen.add(first, stop)
            # Rows from before this subscriber connected, resent on request: the account starts there from now on.
            self.base = min(self.base, first)
        return new

    def raise_low_water(self, low_water: int, now_s: float) -> None:
        if low_water > self.low_water:
            self.low_water = low_water
            if len(self.rising) >= _MAX_RISING:
                self.rising.pop()
            self.rising.append((now_s, low_water))

    def holes(self, stop: int) -> Iterator[tuple[int, int]]:
        for start, end in self.seen.gaps(self.base, stop):
            yield from self.lost.gaps(start, end)

    def trim(self) -> list[tuple[int, int]]:
        """Reduce the older half to sums, and return its holes that were not reported yet."""
        ends = sorted(stop for ranges in (self.seen, self.lost, self.reported) for _, stop in ranges)
        floor = ends[len(ends) // 2]
        holes = list(self.holes(floor))
        late = sum(stop - start for start, stop in holes)
        unreported = [part for hole in holes for part in self.reported.gaps(*hole)]
        seen, lost = self._seen_and_lost(floor)
        self.closed = _Sums(self.closed.seen + seen, self.closed.lost + lost, self.closed.late + late)
        for ranges in (self.seen, self.lost, self.reported):
            ranges.remove(0, floor)
        self.base = self.floor = floor
        return unreported

    def tally(self) -> Tally:
        """Return the current counts."""
        seen, lost = self._seen_and_lost(_BEYOND_ALL)
        seen, lost = seen + self.closed.seen, lost + self.closed.lost
        end = max([self.next, self.low_water, *(stop for _, stop in (*self.seen, *self.lost))])
        unseen = sum(stop - start for start, stop in self.holes(end))
        late = sum(stop - start for start, stop in self.holes(min(self.low_water, end)))
        return Tally(seen, self.duplicates, unseen - late, lost, self.closed.late + late)

    def _seen_and_lost(self, below: int) -> tuple[int, int]:
        """Return how many numbers below this were received, and how many others a ``rows_lost`` event names."""
        seen = sum(min(stop, below) - start for start, stop in self.seen if start < below)
        lost = sum(end - begin for start, stop in self.lost for begin, end in self.seen.gaps(start, min(stop, below)))
        return seen, lost


class Ledger:
    """The accounts of all streams. Times are seconds of the caller's clock, with any origin.

    ``max_ranges``: ranges of numbers kept per gateway. If a gateway needs more (one that sends every second number, for
    example), the older half of its largest account is closed: what is still missing there counts as late, is
    reported once as ``untracked``, and would no longer be new.
    """

    def __init__(self, max_ranges: int = MAX_RANGES) -> None:
        self._max_ranges = max_ranges
        self._accounts: dict[str, dict[StreamId, _Account]] = {}
        self._ranges: Counter[str] = Counter()
        self._dropped: deque[Gap] = deque(maxlen=max_ranges)

    def add(self, stream_id: StreamId, low_water: int, start: int, stop: int, now_s: float) -> list[int]:
        """Record a message with numbers ``[start, stop)``, and return the numbers that are new."""
        account = self._account(stream_id, min(low_water, start))
        before = len(account)
        new = account.add(start, stop)
        account.raise_low_water(low_water, now_s)
        self._keep_bounded(stream_id.gateway, len(account) - before)
        return new

    def mark_lost(self, stream_id: StreamId, start: int, stop: int) -> None:
        """Record numbers that a ``rows_lost`` event names."""
        account = self._account(stream_id, start)
        before = len(account)
        account.lost.add(max(start, account.floor), stop)
        self._keep_bounded(stream_id.gateway, len(account) - before)

    def close(self, stream_id: StreamId, low_water: int, now_s: float, next_number: int = 0) -> None:
        """Record from a ``streams`` message that everything below ``low_water`` is settled, and that numbers below
        ``next_number`` exist."""
        account = self._accounts.get(stream_id.gateway, {}).get(stream_id)
        if account is not None:
            account.raise_low_water(low_water, now_s)
            account.next = max(account.next, next_number)

    def gaps(self, now_s: float) -> Iterator[Gap]:
        """Yield holes that nothing has explained for :data:`GRACE_S`, and those no longer tracked; each only once."""
        for stream_id, account in [pair for accounts in self._accounts.values() for pair in accounts.items()]:
            settled = 0
            while account.rising and account.rising[0][0] <= now_s - GRACE_S:
                settled = account.rising.popleft()[1]
            before = len(account)
            unreported = [part for hole in account.holes(settled) for part in account.reported.gaps(*hole)]
            for part in unreported:
                account.reported.add(*part)
            self._keep_bounded(stream_id.gateway, len(account) - before)
            yield from (Gap(stream_id, *part, "late") for part in unreported)
        yield from self.dropped()

    def dropped(self) -> list[Gap]:
        """Return the holes that stopped being tracked since the last call (if there are very many, the newest)."""
        dropped = list(self._dropped)
        self._dropped.clear()
        return dropped

    def tally(self) -> dict[StreamId, Tally]:
        """Return the counts of each stream."""
        pairs = [pair for accounts in self._accounts.values() for pair in accounts.items()]
        return {stream_id: account.tally() for stream_id, account in sorted(pairs, key=lambda pair: pair[0])}

    def size(self, gateway: str) -> int:
        """Return how many ranges and times are stored for a gateway."""
        return sum(len(account) + len(account.rising) for account in self._accounts.get(gateway, {}).values())

    def _account(self, stream_id: StreamId, base: int) -> _Account:
        return self._accounts.setdefault(stream_id.gateway, {}).setdefault(stream_id, _Account(base))

    def _keep_bounded(self, gateway: str, more: int) -> None:
        self._ranges[gateway] += more
        while self._ranges[gateway] > self._max_ranges:
            stream_id, account = max(self._accounts[gateway].items(), key=lambda pair: len(pair[1]))
            before = len(account)
            self._dropped.extend(Gap(stream_id, *hole, "untracked") for hole in account.trim())
            self._ranges[gateway] -= before - len(account)
