"""Recorded edges as text, and what most drivers of GPIO lines have in common."""

import re
from collections.abc import Callable, Mapping, Sequence

from drivers.sdk.contract import Item, Measurement, Option, Value
from drivers.sdk.gpio import Edge, EdgeDecoder

_EDGE = re.compile(
    rb"\[\s*(?P<at>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)\s*,"
    rb"\s*\"(?P<line>[A-Za-z0-9_]{1,16})\"\s*,\s*(?P<level>[01])\s*\]"
)
_MAX_BYTES = 96
"""No edge is longer as text."""


class EdgeText:
    """Parses edges in JSON, ``[[seconds, line, level], ...]``, and feeds them to a decoder of edges.

    What a driver reports only by samples comes at the end. Edges of unknown lines are skipped; the name of the only
    line of a device does not matter, nor does upper or lower case.
    """

    def __init__(self, decoder: EdgeDecoder, lines: Sequence[str]) -> None:
        self.skipped = 0
        self._decoder = decoder
        self._lines = lines
        self._rest = b""
        self._at_s = 0.0
        self._has_items = False
        self._seen = False

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        """Return the items of the edges in the text. ``at_s`` is not used: the edges have their own times."""
        text = self._rest + chunk
        items: list[Item] = []
        end = 0
        for match in _EDGE.finditer(text):
            self.skipped += _content(text[end : match.start()])
            end = match.end()
            items += self._decode(match)
        rest = text[end:]
        keep = max(rest.rfind(b"["), len(rest) - _MAX_BYTES) if b"[" in rest else len(rest)
        self.skipped += _content(rest[:keep])
        self._rest = rest[keep:]
        self._has_items = self._has_items or bool(items)
        return items

    def finish(self, at_s: float) -> list[Item]:
        """Return what ends by silence, or else a sample of the present state."""
        self.skipped += _content(self._rest)
        self._rest = b""
        items: list[Item] = []
        while (due_s := self._decoder.due_s) is not None:
            items += self._decoder.tick(due_s)
        if self._seen and not self._has_items and not items:
            items += self._decoder.sample(self._at_s)
        self._has_items = self._seen = False
        return items

    def _decode(self, match: re.Match[bytes]) -> list[Item]:
        line = match["line"].decode().lower() if len(self._lines) > 1 else self._lines[0]
        if line not in self._lines:
            self.skipped += _content(match[0])
            return []
        self._at_s = max(self._at_s, float(match["at"]))
        self._seen = True
        return self._decoder.edges([Edge(self._at_s, line, int(match["level"]))])


def _content(text: bytes) -> int:
    """Return how many bytes are neither brackets nor separators: the same for any chunking."""
    return len(text.translate(None, b"[], \r\n\t"))


class EdgeDecoderBase:
    """The parts of an :class:`~drivers.sdk.gpio.EdgeDecoder` that most drivers do not need."""

    @property
    def due_s(self) -> float | None:
        return None

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        return []

    def tick(self, at_s: float) -> list[Item]:
        return []

    def sample(self, at_s: float) -> list[Item]:
        return []

    def lost(self, line: str, count: int) -> list[Item]:
        return []

    def totals(self) -> Mapping[str, int]:
        return {}

    def restore(self, totals: Mapping[str, int]) -> None:
        return None


class PulseCounter(EdgeDecoderBase):
    """Counts the rising edges of a line. Samples report the count, which survives restarts.

    ``values``: makes the published values of a count. The kernel reports rising edges only, so every edge that it lost
    was a pulse too.
    """

    def __init__(self, name: str, values: Callable[[int], Mapping[str, Value]]) -> None:
        self._name = name
        self._values = values
        self._count = 0

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        self._count += sum(edge.level for edge in edges)
        return []

    def sample(self, at_s: float) -> list[Item]:
        return [Measurement(self._values(self._count))]

    def lost(self, line: str, count: int) -> list[Item]:
        self._count += count
        return []

    def totals(self) -> Mapping[str, int]:
        return {self._name: self._count}

    def restore(self, totals: Mapping[str, int]) -> None:
        self._count = totals.get(self._name, self._count)


BIAS = Option("str", "as_is", "the line's own resistor", choices=("as_is", "pull_up", "pull_down", "off"))
"""The option ``bias`` of the drivers that have it."""
