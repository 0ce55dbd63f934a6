"""One transaction of the store: its input and its result. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.base.reading import AGENT, CommittedRange, Reading, Stamp, event
from agent.store.stream_account import StreamAccount

Range = tuple[str, int, int]
"""A stream, the first number of a range, and the number after its last."""


@dataclass(slots=True)
class Commit:
    """A commit: readings go in, their numbers come out.

    ``now`` and ``meta_hash``: for the ``rows_lost`` events of evicted rows. ``settled``: ranges settled since the last
    commit. ``properties``, ``descriptions``: values to store with it. The database fills in ``assigned``, stream ->
    (first number, number after the last), ``shed``, the undelivered rows that were given up, and ``gone``, all rows
    deleted from the ring.
    """

    readings: list[Reading]
    now: Stamp
    meta_hash: str
    settled: list[Range] = field(default_factory=list)
    properties: Mapping[str, str] = field(default_factory=dict)
    descriptions: Mapping[str, bytes] = field(default_factory=dict)
    assigned: dict[str, tuple[int, int]] = field(default_factory=dict)
    shed: list[Range] = field(default_factory=list)
    gone: list[Range] = field(default_factory=list)

    def clear_result(self) -> None:
        """Clear the result: the transaction was rolled back."""
        self.assigned.clear()
        self.shed.clear()
        self.gone.clear()

    def changed_streams(self) -> set[str]:
        """Return the streams whose numbers it has changed, according to the result so far."""
        return {*self.assigned, *(name for name, _, _ in (*self.settled, *self.gone))}

    def apply_to(self, accounts: dict[str, StreamAccount], epoch: str) -> None:
        """Update the accounts to the state after this commit. ``epoch``: the epoch of its numbers."""
        for name, (start, stop) in self.assigned.items():
            account = accounts.get(name)
            if account is None:
                account = accounts[name] = StreamAccount.starting_at(start, epoch)
            account.next = max(account.next, stop)
        for name, start, stop in self.gone:
            accounts[name].settled.add(start, stop)
            accounts[name].gone.add(start, stop)

    def committed_ranges(self) -> dict[str, CommittedRange]:
        """Return what the commit made durable, by stream."""
        oldest: dict[str, int] = {}
        urgent = {event(AGENT)} if self.shed else set()
        for reading in self.readings:
            oldest.setdefault(reading.stream, reading.stamp.mono_ms)
            if reading.urgent:
                urgent.add(reading.stream)
        return {
            name: CommittedRange(start, stop, oldest.get(name, self.now.mono_ms), name in urgent)
            for name, (start, stop) in self.assigned.items()
        }
