"""The account of every number on the subscriber's side: what was seen, what is lost, what is missing. Pure."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from agent.base.ranges import Ranges

GRACE_S = 5.0
"""A hole is told of after this long: the ``rows_lost`` event that explains it comes on another topic."""
MAX_RANGES = 20_000
"""Ranges of numbers kept for one gateway, over all its streams: about 2 MB, and many more than an honest one needs."""
_MAX_RISING = 1000
"""Steps of ``lo`` that are younger than the grace: beyond that, several share the time of the newest."""
_BEYOND_ALL = 1 << 62


class StreamId(NamedTuple):
    """Whose numbers: gateway, ``telemetry/{sensor}`` or ``event/{sensor}``, epoch."""

    gateway: str
    stream: str
    epoch: str


class Gap(NamedTuple):
    """Numbers ``[start, stop)`` that did not come. ``why``: that of the ``rows_lost`` event, ``late`` (nothing explains
    it: ask with ``command/resend``) or ``untracked`` (there are too many holes to keep: it would not be taken any
    more)."""

    of: StreamId
    start: int
    stop: int
    why: str


class Tally(NamedTuple):
    """Of the numbers that should have come by now: how many there are, came, are lost, are missing; and how many
    came again."""

    numbers: int
    seen: int
    lost: int
    missing: int
    again: int


class _Sums(NamedTuple):
    seen: int = 0
    lost: int = 0
    missing: int = 0


class _Book:
    """One stream's account, from ``base`` on: what was settled before this subscriber came is none of its business.
    Below ``floor``, only sums are kept: ``closed``."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.floor = 0
        self.closed = _Sums()
        self.seen = Ranges()
        self.lost = Ranges()
        self.told = Ranges()
        self.low_water = base
        self.again = 0
        self.rising: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        """How many ranges there are to keep."""
        return len(self.seen) + len(self.lost) + len(self.told)

    def take(self, start: int, stop: int) -> list[int]:
        """Note that numbers came; give those that are new."""
        first = max(start, self.floor)
        new = [number for gap in self.seen.gaps(first, stop) for number in range(*gap)]
        self.again += stop - start - len(new)
        if first < stop:
            self.seen.add(first, stop)
            # Sent again on request, from before this subscriber's time: it counts from there on.
            self.base = min(self.base, first)
        return new

    def raise_lo(self, low_water: int, now_s: float) -> None:
        if low_water > self.low_water:
            self.low_water = low_water
            if len(self.rising) >= _MAX_RISING:
                self.rising.pop()
            self.rising.append((now_s, low_water))

    def holes(self, stop: int) -> Iterator[tuple[int, int]]:
        for start, end in self.seen.gaps(self.base, stop):
            yield from self.lost.gaps(start, end)

    def trim(self) -> list[tuple[int, int]]:
        """Keep only sums of the older half; give its holes that were not reported yet."""
        ends = sorted(stop for ranges in (self.seen, self.lost, self.told) for _, stop in ranges)
        floor = ends[len(ends) // 2]
        holes = list(self.holes(floor))
        missing = sum(stop - start for start, stop in holes)
        unreported = [part for hole in holes for part in self.told.gaps(*hole)]
        seen, lost = self._came_and_lost(floor)
        self.closed = _Sums(self.closed.seen + seen, self.closed.lost + lost, self.closed.missing + missing)
        for ranges in (self.seen, self.lost, self.told):
            ranges.remove(0, floor)
        self.base = self.floor = floor
        return unreported

    def tally(self) -> Tally:
        """Where it stands."""
        seen, lost = self._came_and_lost(_BEYOND_ALL)
        seen, lost = seen + self.closed.seen, lost + self.closed.lost
        missing = self.closed.missing + sum(stop - start for start, stop in self.holes(self.low_water))
        return Tally(seen + lost + missing, seen, lost, missing, self.again)

    def _came_and_lost(self, below: int) -> tuple[int, int]:
        """How many numbers below this came, and how many did not of which a ``rows_lost`` event tells."""
        seen = sum(min(stop, below) - start for start, stop in self.seen if start < below)
        lost = sum(end - begin for start, stop in self.lost for begin, end in self.seen.gaps(start, min(stop, below)))
        return seen, lost


class Ledger:
    """Every stream's account. Times are the caller's, seconds, any origin.

    ``max_ranges``: how many ranges of numbers are kept for one gateway. Where it would take more (a gateway that sends
    every second number), the older half of its most ragged account is closed: what is still missing of it counts as
    missing, is given once as ``untracked``, and would not be new any more.
    """

    def __init__(self, max_ranges: int = MAX_RANGES) -> None:
        self._max_ranges = max_ranges
        self._books: dict[str, dict[StreamId, _Book]] = {}
        self._ranges: Counter[str] = Counter()
        self._dropped: deque[Gap] = deque(maxlen=max_ranges)

    def take(self, of: StreamId, low_water: int, start: int, stop: int, now_s: float) -> list[int]:
        """A message with numbers ``[start, stop)`` came: give those that had not come before."""
        book = self._book(of, min(low_water, start))
        before = len(book)
        new = book.take(start, stop)
        book.raise_lo(low_water, now_s)
        self._keep_bounded(of.gateway, len(book) - before)
        return new

    def lost(self, of: StreamId, start: int, stop: int) -> None:
        """A ``rows_lost`` event names these numbers."""
        book = self._book(of, start)
        before = len(book)
        book.lost.add(max(start, book.floor), stop)
        self._keep_bounded(of.gateway, len(book) - before)

    def closed(self, of: StreamId, low_water: int, now_s: float) -> None:
        """A ``streams`` message says that all below ``lo`` is settled."""
        book = self._books.get(of.gateway, {}).get(of)
        if book is not None:
            book.raise_lo(low_water, now_s)

    def gaps(self, now_s: float) -> Iterator[Gap]:
        """Holes that nothing has explained for :data:`GRACE_S`, and those that are no longer tracked; each is given
        once."""
        for of, book in [pair for books in self._books.values() for pair in books.items()]:
            settled = 0
            while book.rising and book.rising[0][0] <= now_s - GRACE_S:
                settled = book.rising.popleft()[1]
            before = len(book)
            unreported = [part for hole in book.holes(settled) for part in book.told.gaps(*hole)]
            for part in unreported:
                book.told.add(*part)
            self._keep_bounded(of.gateway, len(book) - before)
            yield from (Gap(of, *part, "late") for part in unreported)
        yield from self.dropped()

    def dropped(self) -> list[Gap]:
        """Holes that are no longer tracked since the last call (of very many, the newest)."""
        dropped = list(self._dropped)
        self._dropped.clear()
        return dropped

    def tally(self) -> dict[StreamId, Tally]:
        """Where each stream stands. Numbers at or above the highest ``lo`` that have not come are still under way."""
        books = [pair for books in self._books.values() for pair in books.items()]
        return {of: book.tally() for of, book in sorted(books, key=lambda pair: pair[0])}

    def kept(self, gateway: str) -> int:
        """How many ranges and times are kept for a gateway."""
        return sum(len(book) + len(book.rising) for book in self._books.get(gateway, {}).values())

    def _book(self, of: StreamId, base: int) -> _Book:
        return self._books.setdefault(of.gateway, {}).setdefault(of, _Book(base))

    def _keep_bounded(self, gateway: str, more: int) -> None:
        self._ranges[gateway] += more
        while self._ranges[gateway] > self._max_ranges:
            of, book = max(self._books[gateway].items(), key=lambda pair: len(pair[1]))
            before = len(book)
            self._dropped.extend(Gap(of, *hole, "untracked") for hole in book.trim())
            self._ranges[gateway] -= before - len(book)
