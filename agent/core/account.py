"""Where the numbers of one stream stand on the gateway's side: given, settled, gone from the ring."""

from collections.abc import Iterable, Iterator

from agent.core.ranges import Ranges

FIRST_NUMBER = 1


class StreamAccount:
    """The account of one stream.

    ``next``: the number that the next durable row will get. ``settled``: delivered, shed or given up. ``gone``: no
    longer in the ring, always a part of ``settled``. ``epochs``: ``(first number, ep)``, rising; numbers go on
    over a change of epoch, so that a number names one row of the ring.
    """

    __slots__ = ("epochs", "gone", "next", "settled")

    def __init__(
        self,
        epochs: Iterable[tuple[int, str]],
        next_number: int = FIRST_NUMBER,
        settled: Iterable[tuple[int, int]] = (),
        gone: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.epochs = list(epochs)
        self.next = next_number
        self.settled = Ranges(settled)
        self.gone = Ranges(gone)

    @property
    def ep(self) -> str:
        """The epoch of the numbers that are given now."""
        return self.epochs[-1][1]

    def begin_epoch(self, ep: str, since: int) -> None:
        """Count the numbers from ``since`` on to another epoch."""
        self.epochs = [(start, name) for start, name in self.epochs if start < since]
        self.epochs.append((since, ep))

    def span(self, ep: str) -> tuple[int, int]:
        """The numbers given in an epoch: first, and the one after the last. Raises :class:`KeyError`."""
        for index, (start, name) in enumerate(self.epochs):
            if name == ep:
                following = self.epochs[index + 1][0] if index + 1 < len(self.epochs) else self.next
                return start, following
        raise KeyError(ep)

    def epoch_of(self, number: int) -> str:
        """The epoch in which a number was given."""
        return next(name for start, name in reversed(self.epochs) if start <= number)

    def epoch_end(self, number: int) -> int:
        """The number after the last of the epoch that a number was given in."""
        return self.span(self.epoch_of(number))[1]

    def lo(self, ep: str) -> int:
        """The lowest number of an epoch that is not settled (the one after its last, if all are)."""
        start, stop = self.span(ep)
        gap = self.settled.first_gap(start, stop)
        return gap[0] if gap else stop

    def first(self, ep: str) -> int:
        """The oldest number of an epoch that can still be sent again."""
        start, stop = self.span(ep)
        gap = self.gone.first_gap(start, stop)
        return gap[0] if gap else stop

    def unsettled(self) -> int:
        """How many rows are not settled."""
        return self.next - FIRST_NUMBER - self.settled.count()

    def deliverable(self) -> Iterator[tuple[int, int]]:
        """Ranges still owed to the broker, oldest first."""
        return self.settled.gaps(FIRST_NUMBER, self.next)

    def spent(self) -> tuple[int, int] | None:
        """The oldest range that is settled and still takes room in the ring."""
        for start, stop in self.settled:
            gap = self.gone.first_gap(start, stop)
            if gap is not None:
                return gap
        return None
