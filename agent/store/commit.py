"""One transaction of the store, as it goes in and as it comes out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.base.reading import AGENT, CommittedRange, Reading, Stamp, event
from agent.store.stream_account import StreamAccount

Range = tuple[str, int, int]
"""A stream, the first number of a range, and the one after its last."""


@dataclass(slots=True)
class Commit:
    """Readings in, numbers out.

    ``now`` and ``mh``: for the ``rows_lost`` events of rows that have to go. ``settled``: ranges settled since the
    last commit. ``properties``, ``descriptions``: what is to be remembered with it. Filled in by the database:
    ``given``, stream -> (first number, one after the last); ``shed`` and ``gone``, (stream, start, stop): undelivered
    rows that were given up, and all rows that left the ring.
    """

    readings: list[Reading]
    now: Stamp
    meta_hash: str
    settled: list[Range] = field(default_factory=list)
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

    def changed(self) -> set[str]:
        """The streams whose numbers it has changed, as far as the database has filled it in."""
        return {*self.given, *(name for name, _, _ in (*self.settled, *self.gone))}

    def apply_to(self, accounts: dict[str, StreamAccount], epoch: str) -> None:
        """Bring accounts to where the store is after it. ``ep``: the epoch of its numbers."""
        for name, (start, stop) in self.given.items():
            account = accounts.get(name)
            if account is None:
                account = accounts[name] = StreamAccount.beginning_at(start, epoch)
            account.next = max(account.next, stop)
        for name, start, stop in self.gone:
            accounts[name].settled.add(start, stop)
            accounts[name].gone.add(start, stop)

    def fresh(self) -> dict[str, CommittedRange]:
        """What it made durable, by stream."""
        oldest: dict[str, int] = {}
        urgent = {event(AGENT)} if self.shed else set()
        for reading in self.readings:
            oldest.setdefault(reading.stream, reading.stamp.mono_ms)
            if reading.urgent:
                urgent.add(reading.stream)
        return {
            name: CommittedRange(start, stop, oldest.get(name, self.now.mono_ms), name in urgent)
            for name, (start, stop) in self.given.items()
        }
