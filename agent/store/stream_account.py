"""The account of a stream's numbers on the gateway: assigned, settled, gone from the ring."""

from collections.abc import Iterable, Iterator

from agent.base.ranges import Ranges

FIRST_NUMBER = 1
_SKIPPED = ""
"""Marks a range of skipped numbers: none of them was ever assigned."""
_MAX_EPOCHS = 32
MAX_BEFORE = 8
"""How many ended epochs of a stream are reported."""


class StreamAccount:
    """The account of one stream.

    ``next``: the number of the next durable row. ``settled``: delivered, shed or given up. ``gone``: no longer in the
    ring, always a subset of ``settled``. ``held``: unsettled, but not readable at present (being rescued, or on an
    unreadable disk): neither sent nor counted as lost. ``epochs``: ``(first number, epoch)``, ascending; numbering
    continues across epochs, so that a number identifies one row of the ring.
    """

    __slots__ = ("epochs", "gone", "held", "next", "settled")

    def __init__(
        self,
        epochs: Iterable[tuple[int, str]],
        next_number: int = FIRST_NUMBER,
        settled: Iterable[tuple[int, int]] = (),
        gone: Iterable[tuple[int, int]] = (),
        held: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.epochs = list(epochs)
        self.next = next_number
        self.settled = Ranges(settled)
        self.gone = Ranges(gone)
        self.held = Ranges(held)

    @classmethod
    def starting_at(cls, number: int, epoch: str) -> "StreamAccount":
        """Return a stream that starts at this number: none of the lower numbers was ever assigned."""
        if number <= FIRST_NUMBER:
            return cls([(FIRST_NUMBER, epoch)])
        skipped = [(FIRST_NUMBER, number)]
        return cls([(FIRST_NUMBER, _SKIPPED), (number, epoch)], number, skipped, skipped)

    def copy(self) -> "StreamAccount":
        """Return an independent copy."""
        return StreamAccount(self.epochs, self.next, self.settled, self.gone, self.held)

    @property
    def epoch(self) -> str:
        """The epoch of the numbers assigned now."""
        return self.epochs[-1][1]

    def begin_epoch(self, epoch: str, since: int) -> None:
        """Begin an epoch that includes the numbers from ``since`` on."""
        self.epochs = [(start, name) for start, name in self.epochs if start < since]
        self.epochs.append((since, epoch))
        while len(self.epochs) > _MAX_EPOCHS and self.settled.first_gap(FIRST_NUMBER, self.epochs[1][0]) is None:
            del self.epochs[0]  # no unsettled number refers to it any more

    def span(self, epoch: str) -> tuple[int, int]:
        """Return the numbers of an epoch: the first, and the one after the last. Raises :class:`KeyError`."""
        for index, (start, name) in enumerate(self.epochs):
            if name == epoch:
                following = self.epochs[index + 1][0] if index + 1 < len(self.epochs) else self.next
                return start, following
        raise KeyError(epoch)

    def epoch_of(self, number: int) -> str:
        """Return the epoch in which a number was assigned."""
        return next((name for start, name in reversed(self.epochs) if start <= number), _SKIPPED)

    def epoch_end(self, number: int) -> int:
        """Return the number after the last of the epoch that a number belongs to."""
        return min((start for start, _ in self.epochs if start > number), default=self.next)

    def low_water(self, epoch: str) -> int:
        """Return the lowest unsettled number of an epoch; the number after its last if all are settled; the stream's
        next number if the epoch is unknown."""
        try:
            start, stop = self.span(epoch)
        except KeyError:
            return self.next
        gap = self.settled.first_gap(start, stop)
        return gap[0] if gap else stop

    def first(self, epoch: str) -> int:
        """Return the oldest number of an epoch that can still be resent."""
        start, stop = self.span(epoch)
        gap = self.gone.first_gap(start, stop)
        return gap[0] if gap else stop

    def ended_epochs(self) -> list[tuple[str, int]]:
        """Return the newest ended epochs with unsettled numbers, oldest first: ``(epoch, the number after its
        last)``."""
        ended = list(zip(self.epochs, self.epochs[1:], strict=False))
        owing = [(epoch, stop) for (start, epoch), (stop, _) in ended if epoch and self.settled.first_gap(start, stop)]
        return owing[-MAX_BEFORE:]

    def unsettled(self) -> int:
        """Return the number of unsettled rows."""
        return self.next - FIRST_NUMBER - self.settled.count()

    def deliverable(self, start: int = FIRST_NUMBER, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield the ranges of ``[start, stop)`` that are unsettled and readable, oldest first."""
        for begin, end in self.settled.gaps(start, self.next if stop is None else stop):
            yield from self.held.gaps(begin, end)

    def evictable(self) -> tuple[int, int] | None:
        """Return the oldest range that is settled and still occupies the ring."""
        for start, stop in self.settled:
            gap = self.gone.first_gap(start, stop)
            if gap is not None:
                return gap
        return None

    def hold(self, stop: int) -> None:
        """Hold everything unsettled below ``stop``: it cannot be read at present."""
        for pair in list(self.settled.gaps(FIRST_NUMBER, stop)):
            self.held.add(*pair)

    def add_rescued(self, start: int, stop: int, epoch: str) -> None:
        """Add rescued rows of an ended epoch whose numbers were not known to be assigned."""
        self.settled.remove(start, stop)
        self.gone.remove(start, stop)
        if not any(name == epoch for _, name in self.epochs):
            follows = self.epoch_of(stop)
            self.epochs = sorted(
                {*self.epochs, (start, epoch)} | ({(stop, _SKIPPED)} if follows == _SKIPPED else set())
            )
            return
        self._extend(start, stop, epoch)

    def _extend(self, start: int, stop: int, epoch: str) -> None:
        """Extend an epoch next to skipped numbers so that it covers ``[start, stop)``."""
        for index, (begin, name) in enumerate(self.epochs):
            if name != epoch:
                continue
            if start < begin:
                self.epochs[index] = (start, epoch)
            after = index + 1
            if after < len(self.epochs) and self.epochs[after][1] == _SKIPPED and self.epochs[after][0] < stop:
                self.epochs[after] = (stop, _SKIPPED)
            break
        self.epochs = [
            pair
            for at, pair in enumerate(self.epochs)
            if at + 1 == len(self.epochs) or self.epochs[at + 1][0] > pair[0]
        ]
