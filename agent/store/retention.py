"""Which rows leave a full store: delivered ones first, then telemetry, events last; always the oldest. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agent.base.reading import AGENT, event
from agent.store.commit import Range
from agent.store.stream_account import StreamAccount

_MAX_ROWS = 256
"""Rows that leave together."""

Accounts = Mapping[str, StreamAccount]
TimeOf = Callable[[str, int], int]
"""When this row of a stream was measured; 0 where it is not there."""


class Leaving(NamedTuple):
    """Rows that are to leave. ``undelivered``: the broker does not have them."""

    rows: Range
    undelivered: bool


def next_to_leave(accounts: Accounts, time_of: TimeOf, sheds: bool) -> Leaving | None:
    """What leaves next. ``sheds``: whether undelivered rows may."""
    spent = [(name, found) for name, account in accounts.items() if (found := account.spent()) is not None]
    rows = _oldest(spent, time_of)
    if rows is not None:
        return Leaving(rows, undelivered=False)
    rows = _undelivered(accounts, time_of) if sheds else None
    return Leaving(rows, undelivered=True) if rows is not None else None


def _undelivered(accounts: Accounts, time_of: TimeOf) -> Range | None:
    """What is given up next: telemetry, then events, the agent's own at last."""
    own = event(AGENT)
    telemetry = [name for name in accounts if name.startswith("telemetry/")]
    events = [name for name in accounts if name.startswith("event/") and name != own]
    for names in (telemetry, events):
        rows = _oldest(_owed(accounts, names), time_of)
        if rows is not None:
            return rows
    rows = _oldest(_owed(accounts, [own] if own in accounts else []), time_of)
    # Giving up one's own event costs another event: a single one would go round for ever.
    return rows if rows is not None and rows[2] - rows[1] > 1 else None


def _owed(accounts: Accounts, names: Iterable[str]) -> Iterable[tuple[str, tuple[int, int]]]:
    for name in names:
        account = accounts[name]
        owed = next(account.deliverable(), None)
        if owed is not None:
            yield name, (owed[0], min(owed[1], account.epoch_end(owed[0])))


def _oldest(ranges: Iterable[tuple[str, tuple[int, int]]], time_of: TimeOf) -> Range | None:
    """Of the first rows of these ranges the oldest, with the rows behind it: at most :data:`_MAX_ROWS`."""
    oldest: tuple[int, Range] | None = None
    for name, (start, stop) in ranges:
        t = time_of(name, start)
        if oldest is None or t < oldest[0]:
            oldest = (t, (name, start, min(stop, start + _MAX_ROWS)))
    return oldest[1] if oldest else None
