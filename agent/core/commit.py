"""One transaction of the store, as it goes in and as it comes out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.reading import Reading, Stamp

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
    mh: str
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
