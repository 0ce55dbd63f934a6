"""What leaves the store when it is full: delivered rows first, then telemetry, events last; always the oldest."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.account import StreamAccount
from agent.core.events import Why, rows_lost
from agent.core.reading import AGENT, Reading, Stamp, event
from agent.core.row_key import SEQ_BITS
from agent.core.wire import packed

_SHED_ROWS = 256

Range = tuple[str, int, int]
"""A stream, the first number of a range, and the one after its last."""


@dataclass(slots=True)
class Commit:
    """One transaction: readings in, numbers out.

    ``now`` and ``mh``: for the ``rows_lost`` events of rows that have to go. ``settled``: ranges settled since the
    last commit. ``properties``, ``descriptions``: what is to be remembered with it. Filled in by the database:
    ``given``, stream -> (first number, one after the last); ``shed`` and ``gone``, (stream, start, stop): undelivered
    rows that were given up, and all rows that left the ring.
    """

    readings: "list[Reading]"
    now: Stamp
    mh: str
    settled: "list[Range]" = field(default_factory=list)
    properties: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, bytes] = field(default_factory=dict)
    given: dict[str, tuple[int, int]] = field(default_factory=dict)
    shed: list[Range] = field(default_factory=list)
    gone: list[Range] = field(default_factory=list)

    def undo(self) -> None:
        """Nothing of it has happened."""
        self.given.clear()
        self.shed.clear()
        self.gone.clear()


class Room:
    """Deletes rows inside the transaction of a :class:`~agent.edges.database.Database`, whose ``accounts`` and ``ids``
    these are. ``touch`` is called before an account is changed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        accounts: Mapping[str, StreamAccount],
        ids: Mapping[str, int],
        touch: Callable[[str], StreamAccount],
        why: Why,
    ) -> None:
        self._connection = connection
        self._accounts = accounts
        self._ids = ids
        self._touch = touch
        self._why = why

    def used_pages(self) -> int:
        """How many pages hold something."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages) - int(free)

    def make(self, commit: Commit, limit_pages: int, sheds: bool = True) -> list[Reading]:
        """Let rows go until the file fits, and give the events that tell of undelivered ones. ``sheds``: whether such
        may go at all."""
        told: list[Reading] = []
        while self.used_pages() > limit_pages:
            victim = self._oldest(
                (name, spent) for name, account in self._accounts.items() if (spent := account.spent()) is not None
            )
            if victim is None:
                victim = self._undelivered() if sheds else None
                if victim is None:
                    break
                commit.shed.append(victim)
                told.append(self._lost(commit, *victim))
            self._delete(*victim)
            commit.gone.append(victim)
        return told

    def _delete(self, name: str, start: int, stop: int) -> None:
        account = self._touch(name)
        base = self._ids[name] << SEQ_BITS
        self._connection.execute("DELETE FROM reading WHERE key >= ? AND key < ?", (base | start, base | stop))
        account.settled.add(start, stop)
        account.gone.add(start, stop)

    def _lost(self, commit: Commit, name: str, start: int, stop: int) -> Reading:
        body = rows_lost(name, self._accounts[name].epoch_of(start), start, stop, self._why)
        return Reading(event(AGENT), commit.now, commit.mh, packed(body))

    def _undelivered(self) -> Range | None:
        """What is to be given up next: telemetry, then events, the agent's own at last."""
        own = event(AGENT)
        telemetry = [name for name in self._accounts if name.startswith("telemetry/")]
        events = [name for name in self._accounts if name.startswith("event/") and name != own]
        for names in (telemetry, events):
            victim = self._oldest(self._owed(names))
            if victim is not None:
                return victim
        victim = self._oldest(self._owed([own] if own in self._accounts else []))
        # Giving up one's own event costs another event: a single one would go round for ever.
        return victim if victim is not None and victim[2] - victim[1] > 1 else None

    def _owed(self, names: Iterable[str]) -> Iterable[tuple[str, tuple[int, int]]]:
        for name in names:
            account = self._accounts[name]
            owed = next(account.deliverable(), None)
            if owed is not None:
                yield name, (owed[0], min(owed[1], account.epoch_end(owed[0])))

    def _oldest(self, ranges: Iterable[tuple[str, tuple[int, int]]]) -> Range | None:
        """Of the first rows of these ranges the oldest, with the rows behind it: at most :data:`_SHED_ROWS`."""
        best: tuple[int, Range] | None = None
        for name, (start, stop) in ranges:
            key = self._ids[name] << SEQ_BITS | start
            found = self._connection.execute("SELECT t FROM reading WHERE key = ?", (key,)).fetchone()
            t = found[0] if found else 0
            if best is None or t < best[0]:
                best = (t, (name, start, min(stop, start + _SHED_ROWS)))
        return best[1] if best else None
