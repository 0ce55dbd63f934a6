"""Where the numbers of one stream stand on the gateway's side: given, settled, gone from the ring."""

from collections.abc import Iterable, Iterator

from agent.base.ranges import Ranges

FIRST_NUMBER = 1
_VOID = ""
"""Stands for an epoch where numbers were skipped: none of them was ever given."""
_MAX_EPOCHS = 32
MAX_BEFORE = 8
"""How many ended epochs of a stream are told of."""


class StreamAccount:
    """The account of one stream.

    ``next``: the number that the next durable row will get. ``settled``: delivered, shed or given up. ``gone``: no
    longer in the ring, always a part of ``settled``. ``held``: owed, but not readable at present (being rescued, or on
    a disk that cannot be read): neither sent nor counted as lost. ``epochs``: ``(first number, ep)``, rising; numbers
    go on over a change of epoch, so that a number names one row of the ring.
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
    def beginning_at(cls, number: int, epoch: str) -> "StreamAccount":
        """A stream whose first number is this one: all before it were never given."""
        if number <= FIRST_NUMBER:
            return cls([(FIRST_NUMBER, epoch)])
        skipped = [(FIRST_NUMBER, number)]
        return cls([(FIRST_NUMBER, _VOID), (number, epoch)], number, skipped, skipped)

    def copy(self) -> "StreamAccount":
        """An account of its own with the same numbers."""
        return StreamAccount(self.epochs, self.next, self.settled, self.gone, self.held)

    @property
    def epoch(self) -> str:
        """The epoch of the numbers that are given now."""
        return self.epochs[-1][1]

    def begin_epoch(self, epoch: str, since: int) -> None:
        """Count the numbers from ``since`` on to another epoch."""
        self.epochs = [(start, name) for start, name in self.epochs if start < since]
        self.epochs.append((since, epoch))
        while len(self.epochs) > _MAX_EPOCHS and self.settled.first_gap(FIRST_NUMBER, self.epochs[1][0]) is None:
            del self.epochs[0]  # nobody asks for it any more

    def span(self, epoch: str) -> tuple[int, int]:
        """The numbers given in an epoch: first, and the one after the last. Raises :class:`KeyError`."""
        for index, (start, name) in enumerate(self.epochs):
            if name == epoch:
                following = self.epochs[index + 1][0] if index + 1 < len(self.epochs) else self.next
                return start, following
        raise KeyError(epoch)

    def epoch_of(self, number: int) -> str:
        """The epoch in which a number was given."""
        return next((name for start, name in reversed(self.epochs) if start <= number), _VOID)

    def epoch_end(self, number: int) -> int:
        """The number after the last of the epoch that a number was given in."""
        return min((start for start, _ in self.epochs if start > number), default=self.next)

    def low_water(self, epoch: str) -> int:
        """The lowest number of an epoch that is not settled (the one after its last, if all are; that of the stream,
        if the epoch is not known any more)."""
        try:
            start, stop = self.span(epoch)
        except KeyError:
            return self.next
        gap = self.settled.first_gap(start, stop)
        return gap[0] if gap else stop

    def first(self, epoch: str) -> int:
        """The oldest number of an epoch that can still be sent again."""
        start, stop = self.span(epoch)
        gap = self.gone.first_gap(start, stop)
        return gap[0] if gap else stop

    def before(self) -> list[tuple[str, int]]:
        """The newest ended epochs in which a number is owed, oldest first: ``(ep, the number after its last)``."""
        ended = list(zip(self.epochs, self.epochs[1:], strict=False))
        owing = [(epoch, stop) for (start, epoch), (stop, _) in ended if epoch and self.settled.first_gap(start, stop)]
        return owing[-MAX_BEFORE:]

    def unsettled(self) -> int:
        """How many rows are not settled."""
        return self.next - FIRST_NUMBER - self.settled.count()

    def deliverable(self, start: int = FIRST_NUMBER, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Ranges of ``[start, stop)`` that are owed to the broker and can be read, oldest first."""
        for begin, end in self.settled.gaps(start, self.next if stop is None else stop):
            yield from self.held.gaps(begin, end)

    def spent(self) -> tuple[int, int] | None:
        """The oldest range that is settled and still takes room in the ring."""
        for start, stop in self.settled:
            gap = self.gone.first_gap(start, stop)
            if gap is not None:
                return gap
        return None

    def hold(self, stop: int) -> None:
        """Everything owed below ``stop`` cannot be read at present."""
        for pair in list(self.settled.gaps(FIRST_NUMBER, stop)):
            self.held.add(*pair)

    def recovered(self, start: int, stop: int, epoch: str) -> None:
        """Rows of an ended epoch were found again whose numbers were not known to have been given."""
        self.settled.remove(start, stop)
        self.gone.remove(start, stop)
        if not any(name == epoch for _, name in self.epochs):
            follows = self.epoch_of(stop)
            self.epochs = sorted({*self.epochs, (start, epoch)} | ({(stop, _VOID)} if follows == _VOID else set()))
            return
        self._stretch(start, stop, epoch)

    def _stretch(self, start: int, stop: int, epoch: str) -> None:
        """Let an epoch that is followed or preceded by skipped numbers reach over ``[start, stop)``."""
        for index, (begin, name) in enumerate(self.epochs):
            if name != epoch:
                continue
            if start < begin:
                self.epochs[index] = (start, epoch)
            after = index + 1
            if after < len(self.epochs) and self.epochs[after][1] == _VOID and self.epochs[after][0] < stop:
                self.epochs[after] = (stop, _VOID)
            break
        self.epochs = [
            pair
            for at, pair in enumerate(self.epochs)
            if at + 1 == len(self.epochs) or self.epochs[at + 1][0] > pair[0]
        ]
