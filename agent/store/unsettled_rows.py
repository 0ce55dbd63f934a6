"""Unsettled rows as ranges within one epoch: from a store's accounts, and in the note for the next start. No I/O."""

from collections.abc import Iterator, Mapping, Sequence

from agent.base.ranges import Ranges
from agent.base.reading import Row
from agent.store.stream_account import StreamAccount

RowRanges = list[tuple[str, str, int, int]]
"""Rows by stream, epoch, first number and the number after the last."""


LOST_EPOCH = "lost.epoch"
"""The property with the last epoch of memory whose lost rows were reported."""


def unsettled_rows(accounts: Mapping[str, StreamAccount]) -> RowRanges:
    """Return everything that is not settled."""
    return [
        (name, *part)
        for name, account in accounts.items()
        for start, stop in account.settled.gaps(1, account.next)
        for part in split_by_epoch(account, start, stop)
    ]


def split_by_epoch(account: StreamAccount, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
    """Split a range into parts within one epoch each: epoch, first number, the number after the last."""
    while start < stop:
        end = min(stop, account.epoch_end(start))
        yield account.epoch_of(start), start, end
        start = end


def parse_row_ranges(value: object) -> RowRanges:
    """Parse the rows listed in a note; invalid entries are ignored."""
    ranges: RowRanges = []
    for entry in value if isinstance(value, list) else []:
        match entry:
            case [str(stream), str(epoch), int(start), int(stop)] if 0 < start < stop:
                ranges.append((stream, epoch, start, stop))
    return ranges


def merged_rows(rows: RowRanges) -> RowRanges:
    """Return the same rows, each once."""
    merged: dict[tuple[str, str], Ranges] = {}
    for stream, epoch, start, stop in rows:
        merged.setdefault((stream, epoch), Ranges()).add(start, stop)
    return [(*key, start, stop) for key, ranges in merged.items() for start, stop in ranges]


def is_complete(account: StreamAccount, rows: Sequence[Row], start: int, stop: int) -> bool:
    """Return whether ``rows`` includes every deliverable row of ``[start, stop)``."""
    if len(rows) == stop - start:
        return True
    for row in rows:
        if row.seq > start and next(account.deliverable(start, row.seq), None):
            return False
        start = row.seq + 1
    return next(account.deliverable(start, min(stop, account.next)), None) is None
