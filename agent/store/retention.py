"""Decides which rows to evict from a full store: delivered ones first, then telemetry, then events; always the oldest.
No I/O."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agent.base.reading import AGENT, event
from agent.store.commit import Range
from agent.store.stream_account import StreamAccount

_MAX_ROWS = 256
"""Maximum number of rows evicted together."""

Accounts = Mapping[str, StreamAccount]
TimeOf = Callable[[str, int], int]
"""Returns when a row of a stream was measured; 0 if it does not exist."""


class Eviction(NamedTuple):
    """Rows to evict. ``undelivered``: the broker has not acknowledged them."""

    rows: Range
    undelivered: bool


def next_eviction(accounts: Accounts, time_of: TimeOf, may_shed: bool) -> Eviction | None:
    """Return the next rows to evict. ``may_shed``: whether undelivered rows may be evicted."""
    evictable = [(name, settled) for name, account in accounts.items() if (settled := account.evictable()) is not None]
    rows = _oldest(evictable, time_of)
    if rows is not None:
        return Eviction(rows, undelivered=False)
    rows = _undelivered(accounts, time_of) if may_shed else None
    return Eviction(rows, undelivered=True) if rows is not None else None


def _undelivered(accounts: Accounts, time_of: TimeOf) -> Range | None:
    """Return the undelivered rows to give up next: telemetry, then events, the agent's own last."""
    own = event(AGENT)
    telemetry = [name for name in accounts if name.startswith("telemetry/")]
    events = [name for name in accounts if name.startswith("event/") and name != own]
    for names in (telemetry, events):
        rows = _oldest(_oldest_undelivered(accounts, names), time_of)
        if rows is not None:
            return rows
    rows = _oldest(_oldest_undelivered(accounts, [own] if own in accounts else []), time_of)
    # Giving up one of the agent's events creates another one: with a single one, this would never end.
    return rows if rows is not None and rows[2] - rows[1] > 1 else None


def _oldest_undelivered(accounts: Accounts, names: Iterable[str]) -> Iterable[tuple[str, tuple[int, int]]]:
    for name in names:
        account = accounts[name]
        undelivered = next(account.deliverable(), None)
        if undelivered is not None:
            yield name, (undelivered[0], min(undelivered[1], account.epoch_end(undelivered[0])))


def _oldest(ranges: Iterable[tuple[str, tuple[int, int]]], time_of: TimeOf) -> Range | None:
    """Return the range whose first row is the oldest, cut to :data:`_MAX_ROWS`."""
    oldest: tuple[int, Range] | None = None
    for name, (start, stop) in ranges:
        t = time_of(name, start)
        if oldest is None or t < oldest[0]:
            oldest = (t, (name, start, min(stop, start + _MAX_ROWS)))
    return oldest[1] if oldest else None
