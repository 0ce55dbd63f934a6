"""All calls that one wake-up makes of a decoder of edges, bundled, so that they can run in one turn of a thread."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from drivers.sdk.contract import Item
from drivers.sdk.gpio import Edge, EdgeDecoder


class LineEdge(Protocol):
    """A change of a line, and how many before it were lost."""

    @property
    def at_s(self) -> float: ...
    @property
    def role(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def lost(self) -> int: ...


class EdgeProgress(NamedTuple):
    """What a step brought: items with the times they belong to, when the next step is due without an edge (None: not
    at all), and the totals."""

    items: list[tuple[float, list[Item]]]
    due_s: float | None
    totals: dict[str, int]


class EdgeSession:
    """One decoder, from the request of the lines to their loss. Times are seconds of the lines' clock."""

    def __init__(self, decoder: EdgeDecoder, totals: Mapping[str, int]) -> None:
        self._decoder = decoder
        decoder.restore(totals)

    def start(self, levels: Mapping[str, int], at_s: float) -> EdgeProgress:
        """The lines stand so."""
        return self._progress([(at_s, self._decoder.start(levels, at_s))])

    def advance(
        self, edges: Sequence[LineEdge], levels: Mapping[str, int] | None, now_s: float, sample: bool
    ) -> EdgeProgress:
        """Edges came, or time has passed. ``levels``: how the lines stood before these edges, where some before them
        were lost; ``sample``: what stands is to be published."""
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
        found = [(at_s, decoded) for at_s, decoded in items if decoded]
        return EdgeProgress(found, self._decoder.due_s, dict(self._decoder.totals()))


def levels_before(edges: Sequence[LineEdge], levels: Mapping[str, int]) -> dict[str, int]:
    """How the lines stood before these edges, where they stand at ``levels`` after them."""
    before = dict(levels)
    for edge in reversed(edges):
        before[edge.role] = 1 - edge.level
    return before
