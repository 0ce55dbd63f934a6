"""What one step makes of a decoder of edges."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.sensing.sources.edge_session import EdgeProgress, EdgeSession, levels_before
from drivers.sdk.contract import Item, Measurement
from drivers.sdk.gpio import Edge


class Change(NamedTuple):
    at_s: float
    role: str
    level: int
    lost: int = 0


class Recording:
    """Gives a measurement with the name of each call, and notes the calls."""

    def __init__(self, due_s: float | None = None) -> None:
        self.due_s = due_s
        self.calls: list[tuple[Any, ...]] = []

    def _said(self, name: str, *values: Any) -> list[Item]:
        self.calls.append((name, *values))
        return [Measurement({"from": name})]

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        return self._said("start", dict(levels), at_s)

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        return self._said("edges", *edges)

    def tick(self, at_s: float) -> list[Item]:
        return self._said("tick", at_s)

    def sample(self, at_s: float) -> list[Item]:
        return self._said("sample", at_s)

    def lost(self, line: str, count: int) -> list[Item]:
        self.calls.append(("lost", line, count))
        return []

    def totals(self) -> Mapping[str, int]:
        return {"calls": len(self.calls)}

    def restore(self, totals: Mapping[str, int]) -> None:
        self.calls.append(("restore", totals))


def said(progress: EdgeProgress) -> list[tuple[float, str]]:
    return [
        (at_s, str(item.values["from"]))
        for at_s, items in progress.items
        for item in items
        if isinstance(item, Measurement)
    ]


def test_it_goes_on_from_its_totals() -> None:
    decoder = Recording()
    progress = EdgeSession(decoder, {"n": 5}).start({"line": 1}, 7.0)
    assert decoder.calls == [("restore", {"n": 5}), ("start", {"line": 1}, 7.0)]
    assert (said(progress), progress.due_s, progress.totals) == ([(7.0, "start")], None, {"calls": 2})


def test_edges_come_first_then_what_is_due_then_what_stands() -> None:
    session = EdgeSession(Recording(due_s=9.0), {})
    progress = session.advance([Change(8.0, "a", 1), Change(8.5, "b", 0)], None, 9.0, True)
    assert said(progress) == [(8.0, "edges"), (8.5, "edges"), (9.0, "tick"), (9.0, "sample")]


def test_what_is_not_due_yet_waits() -> None:
    progress = EdgeSession(Recording(due_s=9.0), {}).advance([], None, 8.9, False)
    assert (progress.items, progress.due_s) == ([], 9.0)


def test_after_a_loss_it_hears_how_many_and_how_the_lines_stood() -> None:
    decoder = Recording()
    session = EdgeSession(decoder, {})
    session.advance([Change(8.0, "a", 1, lost=3), Change(8.5, "b", 0)], {"a": 0, "b": 1}, 9.0, False)
    assert decoder.calls[1:4] == [("lost", "a", 3), ("start", {"a": 0, "b": 1}, 8.0), ("edges", Edge(8.0, "a", 1))]


def test_the_levels_before_edges_are_those_after_them_turned_back() -> None:
    edges = [Change(1.0, "a", 1), Change(2.0, "a", 0), Change(3.0, "b", 1)]
    assert levels_before(edges, {"a": 0, "b": 1, "c": 1}) == {"a": 0, "b": 0, "c": 1}
