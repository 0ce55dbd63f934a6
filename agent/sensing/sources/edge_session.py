"""Bundles all calls that one wake-up makes to an edge decoder, so that they run in one turn of a thread."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from drivers.sdk.contract import Item
from drivers.sdk.gpio import Edge, EdgeDecoder


class LineEdge(Protocol):
    """A change of a line, and the number of changes lost before it."""

    @property
    def at_s(self) -> float: ...
    @property
    def role(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def lost(self) -> int: ...


class EdgeProgress(NamedTuple):
    """The result of a step: items with their times, when the next step is due without an edge (None: never), and the
    totals."""

    items: list[tuple[float, list[Item]]]
    due_s: float | None
    totals: dict[str, int]


class EdgeSession:
    """One decoder, from the request of the lines to their loss. Times are seconds of the lines' clock."""

    def __init__(self, decoder: EdgeDecoder, totals: Mapping[str, int]) -> None:
        self._decoder = decoder
        decoder.restore(totals)

    def start(self, levels: Mapping[str, int], at_s: float) -> EdgeProgress:
        """Start with the current levels of the lines."""
        return self._progress([(at_s, self._decoder.start(levels, at_s))])

    def advance(
        self, edges: Sequence[LineEdge], levels: Mapping[str, int] | None, now_s: float, sample: bool
    ) -> EdgeProgress:
        """Process edges and the passing of time. ``levels``: the levels before these edges, if earlier edges were lost;
        ``sample``: publish the current state."""
        decoder = self._decoder
        items: list[tuple[float, list[Item]]] = []
        if levels is not None:
            first_s = edges[0].at_s
            items += [(first_s, decoder.lost(edge.role, edge.lost)) for edge in edges if edge.lost]
            items.append((first_s, decoder.start(levels, first_s)))
        items += [(edge.at_s, decoder.edges([Edge(edge.at_s, edge.role, edge.level)])) for edge in edges]
        due_s = decoder.due_s
        if due_s is not None and now_s >= due_s:
            items.append((now_s, decoder.tick(now_s)))
        if sample:
            items.append((now_s, decoder.sample(now_s)))
        return self._progress(items)

    def _progress(self, items: list[tuple[float, list[Item]]]) -> EdgeProgress:
        produced = [(at_s, decoded) for at_s, decoded in items if decoded]
        return EdgeProgress(produced, self._decoder.due_s, dict(self._decoder.totals()))


def levels_before(edges: Sequence[LineEdge], levels: Mapping[str, int]) -> dict[str, int]:
    """Return the levels before these edges, given the ``levels`` after them."""
    before = dict(levels)
    for edge in reversed(edges):
        before[edge.role] = 1 - edge.level
    return before
