"""A set of integers stored as ranges: settled, seen or in-flight numbers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """Half-open ranges ``[start, stop)``, disjoint, ascending and never adjacent.

    Cost depends on the number of ranges, not on the number of members.
    """

    __slots__ = ("_starts", "_stops")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in pairs:
            self.add(start, stop)

    def add(self, start: int, stop: int) -> int:
        """Add ``[start, stop)``; return how many of its members were new."""
        if start >= stop:
            return 0
        # Merge every range that overlaps or touches the new one.
        left = bisect_left(self._stops, start)
        right = bisect_right(self._starts, stop)
        overlap = 0
        for index in range(left, right):
            overlap += max(0, min(stop, self._stops[index]) - max(start, self._starts[index]))
        if left < right:
            low = min(start, self._starts[left])
            high = max(stop, self._stops[right - 1])
        else:
            low, high = start, stop
        self._starts[left:right] = [low]
        self._stops[left:right] = [high]
        return stop - start - overlap

    def remove(self, start: int, stop: int) -> None:
        """Remove every member of ``[start, stop)``."""
        if start >= stop:
            return
        left = bisect_right(self._stops, start)
        right = bisect_left(self._starts, stop)
        starts: list[int] = []
        stops: list[int] = []
        for index in range(left, right):
            if self._starts[index] < start:
                starts.append(self._starts[index])
                stops.append(start)
            if self._stops[index] > stop:
                starts.append(stop)
                stops.append(self._stops[index])
        self._starts[left:right] = starts
        self._stops[left:right] = stops

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._starts, number) - 1
        return index >= 0 and number < self._stops[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._stops, strict=True))

    def __len__(self) -> int:
        """The number of ranges (not of members)."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

    def count(self) -> int:
        """Return the number of members."""
        return sum(self._stops) - sum(self._starts)

    def first_gap(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return the first range of ``[start, stop)`` without members, or ``None``."""
        index = bisect_right(self._starts, start) - 1
        if index >= 0 and self._stops[index] > start:
            start = self._stops[index]
        if start >= stop:
            return None
        index = bisect_right(self._starts, start)
        if index < len(self._starts):
            stop = min(stop, self._starts[index])
        return start, stop

    def overlaps(self, start: int, stop: int) -> bool:
        """Return whether any number of ``[start, stop)`` is a member."""
        index = bisect_right(self._stops, start)
        return index < len(self._starts) and self._starts[index] < stop

    def gaps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield every range of ``[start, stop)`` without members, in ascending order."""
        while (gap := self.first_gap(start, stop)) is not None:
            yield gap
            start = gap[1]
