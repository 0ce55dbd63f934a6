"""The account of every number on the subscriber's side: what was seen, what is lost, what is missing. Pure."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from agent.core.ranges import Ranges

GRACE_S = 5.0
"""A hole is told of after this long: the ``lost`` event that explains it comes on another topic."""


class StreamId(NamedTuple):
    """Whose numbers: gateway, ``telemetry/{sensor}`` or ``event/{sensor}``, epoch."""

    gateway: str
    stream: str
    ep: str


class Gap(NamedTuple):
    """Numbers ``[start, stop)`` that did not come. ``why``: that of the ``lost`` event, or ``late`` (nothing explains
    it: ask with ``command/resend``)."""

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


class _Book:
    """One stream's account, from ``base`` on: what was settled before this subscriber came is none of its business."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.seen = Ranges()
        self.lost = Ranges()
        self.told = Ranges()
        self.lo = base
        self.again = 0
        self.rising: deque[tuple[float, int]] = deque()

    def raise_lo(self, lo: int, now_s: float) -> None:
        if lo > self.lo:
            self.lo = lo
            self.rising.append((now_s, lo))

    def holes(self, stop: int) -> Iterator[tuple[int, int]]:
        for start, end in self.seen.gaps(self.base, stop):
            yield from self.lost.gaps(start, end)


class Ledger:
    """Every stream's account. Times are the caller's, seconds, any origin."""

    def __init__(self) -> None:
        self._books: dict[StreamId, _Book] = {}

    def take(self, of: StreamId, lo: int, start: int, stop: int, now_s: float) -> list[int]:
        """A message with numbers ``[start, stop)`` came: give those that had not come before."""
        book = self._books.get(of)
        if book is None:
            book = self._books[of] = _Book(min(lo, start))
        new = [number for gap in book.seen.gaps(start, stop) for number in range(*gap)]
        book.again += stop - start - len(new)
        book.seen.add(start, stop)
        # Sent again on request, from before this subscriber's time: it counts from there on.
        book.base = min(book.base, start)
        book.raise_lo(lo, now_s)
        return new

    def lost(self, of: StreamId, start: int, stop: int) -> None:
        """A ``lost`` event names these numbers."""
        book = self._books.setdefault(of, _Book(start))
        book.lost.add(start, stop)

    def closed(self, of: StreamId, lo: int, now_s: float) -> None:
        """A ``streams`` message says that all below ``lo`` is settled."""
        if of in self._books:
            self._books[of].raise_lo(lo, now_s)

    def gaps(self, now_s: float) -> Iterator[Gap]:
        """Holes that nothing has explained for :data:`GRACE_S`; each is given once."""
        for of, book in self._books.items():
            settled = 0
            while book.rising and book.rising[0][0] <= now_s - GRACE_S:
                settled = book.rising.popleft()[1]
            for start, stop in list(book.holes(settled)):
                for fresh in list(book.told.gaps(start, stop)):
                    book.told.add(*fresh)
                    yield Gap(of, *fresh, "late")

    def tally(self) -> dict[StreamId, Tally]:
        """Where each stream stands. Numbers at or above the highest ``lo`` that have not come are still under way."""
        return {of: _tally(book) for of, book in sorted(self._books.items())}


def _tally(book: _Book) -> Tally:
    missing = sum(stop - start for start, stop in book.holes(book.lo))
    seen = book.seen.count()
    unseen_lost = sum(end - begin for start, stop in book.lost for begin, end in book.seen.gaps(start, stop))
    return Tally(seen + unseen_lost + missing, seen, unseen_lost, missing, book.again)
