"""Rows that a store owes to the broker, as ranges within one epoch: of its accounts, and in a note. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from agent.base.reading import Row
from agent.store.stream_account import StreamAccount

Owed = list[tuple[str, str, int, int]]
"""Rows by stream, epoch, first number and the number after the last."""


def owed(accounts: Mapping[str, StreamAccount]) -> Owed:
    """Everything that is not settled."""
    return [
        (name, *part)
        for name, account in accounts.items()
        for start, stop in account.settled.gaps(1, account.next)
        for part in by_epoch(account, start, stop)
    ]


def by_epoch(account: StreamAccount, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
    """A range as parts that lie within one epoch each: epoch, first number, the one after the last."""
    while start < stop:
        end = min(stop, account.epoch_end(start))
        yield account.epoch_of(start), start, end
        start = end


def parse_owed(value: object) -> Owed:
    """What a note says is owed, as far as it makes sense."""
    found: Owed = []
    for entry in value if isinstance(value, list) else []:
        match entry:
            case [str(stream), str(epoch), int(start), int(stop)] if 0 < start < stop:
                found.append((stream, epoch, start, stop))
    return found


def is_whole(account: StreamAccount, rows: Sequence[Row], start: int, stop: int) -> bool:
    """Whether ``rows`` are all that is owed of ``[start, stop)``."""
    if len(rows) == stop - start:
        return True
    for row in rows:
        if row.seq > start and next(account.deliverable(start, row.seq), None):
            return False
        start = row.seq + 1
    return next(account.deliverable(start, min(stop, account.next)), None) is None
