"""Two light beams, one behind the other, in a doorway: counts people in, people out, and those who turned back.

Source: the order in which two beams are broken and cleared, as described on the driver's page; there is no
manufacturer's protocol.
"""

from collections.abc import Mapping, Sequence

from drivers.sdk.contract import Field, Item, Measurement, Option, Options, Page, Rejected
from drivers.sdk.edges import BIAS, EdgeDecoderBase
from drivers.sdk.gpio import Edge, EdgeDecoder, GpioDriver

_BEAMS = ("a", "b")
_MAX_PASSAGE_S = 30.0


class Passages(EdgeDecoderBase):
    """Tracks one passage at a time: it begins with the first broken beam and ends when both are clear.

    In: a was broken first, then both together, and b was cleared last; out: the reverse. Anything else was not a
    passage (a person who turned back, a hand), and counts as aborted.
    """

    def __init__(self, max_passage_s: float) -> None:
        self._max_passage_s = max_passage_s
        self._broken = dict.fromkeys(_BEAMS, False)
        self._first = ""
        self._since_s = 0.0
        self._both = False
        self._counts = {"in": 0, "out": 0, "aborted": 0}

    @property
    def due_s(self) -> float | None:
        return self._since_s + self._max_passage_s if self._first else None

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        """Start with the current levels. A beam that is already broken belongs to a passage that is not judged."""
        self._broken = {beam: levels.get(beam) == 1 for beam in _BEAMS}
        self._first = ""
        return []

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        for edge in edges:
            self.tick(edge.at_s)
            self._handle_edge(edge)
        return []

    def tick(self, at_s: float) -> list[Item]:
        """Abort a passage that takes too long: something is standing in the beams."""
        due_s = self.due_s
        if due_s is not None and at_s >= due_s:
            self._counts["aborted"] += 1
            self._first = ""
        return []

    def sample(self, at_s: float) -> list[Item]:
        return [Measurement(dict(self._counts))]

    def lost(self, line: str, count: int) -> list[Item]:
        """Drop the current passage: it cannot be judged any more."""
        in_progress, self._first = bool(self._first), ""
        return [Rejected("overload")] if in_progress else []

    def totals(self) -> Mapping[str, int]:
        return dict(self._counts)

    def restore(self, totals: Mapping[str, int]) -> None:
        self._counts.update({name: totals[name] for name in self._counts if name in totals})

    def _handle_edge(self, edge: Edge) -> None:
        was_clear = not any(self._broken.values())
        self._broken[edge.line] = edge.level == 1
        if was_clear and edge.level == 1:
            self._first, self._since_s, self._both = edge.line, edge.at_s, False
        elif self._first and all(self._broken.values()):
            self._both = True
        elif self._first and not any(self._broken.values()):
            self._counts[self._outcome(last=edge.line)] += 1
            self._first = ""

    def _outcome(self, last: str) -> str:
        if not self._both or last == self._first:
            return "aborted"
        return "in" if self._first == "a" else "out"


def _edges(options: Options) -> EdgeDecoder:
    max_passage = options.get("longest_s")
    return Passages(float(max_passage) if isinstance(max_passage, (int, float)) else _MAX_PASSAGE_S)


DRIVER = GpioDriver(
    name="dual_beam",
    title="People in and out, by two light beams",
    source="the order of two light beams; see the page",
    fields={name: Field("count", "counter", resolution=1, min=0) for name in ("in", "out", "aborted")},
    period_s=10.0,
    edges=_edges,
    options={
        "line_a": Option("line", doc="the line of the outer beam", required=True),
        "line_b": Option("line", doc="the line of the inner beam", required=True),
        "longest_s": Option("float", _MAX_PASSAGE_S, "a passage that takes longer counts as aborted", min=1, max=600),
        "bias": BIAS,
    },
    inline=True,
    lines=_BEAMS,
    page=Page(
        about="Beam a is outside, beam b inside, so close together that a body breaks both at once. The counts\n"
        "never decrease and survive a restart; aborted counts those who turned back between the beams.",
        wiring="Two light barriers, the output of each on its own line, a broken beam = 1. Most receivers pull their\n"
        "  output low instead: active_low = true. Lines tolerate at most 3.3 V.",
        pitfalls=(
            "Two people side by side count as one: if that matters, narrow the passage.",
            "Mount the beams 10 to 20 cm apart at hip height: swinging bags break higher or lower ones.",
            "Sunlight blinds cheap receivers: aim them away from it.",
        ),
        example='[[sensor]]\nid = "doorway"\ndriver = "dual_beam"\nchip = "gpiochip0"\nline_a = "GPIO5"\n'
        'line_b = "GPIO6"\nactive_low = true\nbias = "pull_up"\ninterval_s = 60\n',
    ),
)
