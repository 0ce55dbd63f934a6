"""Edge sequences of devices on GPIO lines."""

from collections.abc import Sequence

from drivers.sdk.gpio import Edge

_BIT_S = 0.002
_BIT_PULSE_S = 0.0001
_PASSAGE_S = 5.0
_STEP_S = 0.2


def pulses(count: int, *, line: str = "line", start_s: float = 1.0, period_s: float = 1.0) -> list[Edge]:
    """Return pulses of a tenth of a period each."""
    edges = []
    for at in range(count):
        begin_s = start_s + at * period_s
        edges += [Edge(begin_s, line, 1), Edge(round(begin_s + period_s / 10, 6), line, 0)]
    return edges


def wiegand_bits(facility: int, card: int, bits: int = 26) -> str:
    """Return the bits of a card with both parities: 26 (facility of 8 bits) or 34 (of 16)."""
    content = f"{facility:0{bits - 18}b}{card:016b}"
    half = len(content) // 2
    even = content[:half].count("1") % 2
    odd = 1 - content[half:].count("1") % 2
    return f"{even}{content}{odd}"


def wiegand_edges(bits: str, *, start_s: float = 1.0) -> list[Edge]:
    """Return a frame of bits as low pulses on the two lines."""
    edges = []
    for at, bit in enumerate(bits):
        begin_s = round(start_s + at * _BIT_S, 6)
        edges += [Edge(begin_s, f"d{bit}", 0), Edge(round(begin_s + _BIT_PULSE_S, 6), f"d{bit}", 1)]
    return edges


def passages(into: int, out: int, aborted: int, *, start_s: float = 1.0) -> list[Edge]:
    """Return the edges of this many people going in, going out, and turning back, one after another."""
    walks = [["a1", "b1", "a0", "b0"]] * into + [["b1", "a1", "b0", "a0"]] * out + [["a1", "b1", "b0", "a0"]] * aborted
    return [
        Edge(round(start_s + number * _PASSAGE_S + step * _STEP_S, 6), change[0], int(change[1]))
        for number, walk in enumerate(walks)
        for step, change in enumerate(walk)
    ]


def bouncing(edge: Edge, times: int = 10, within_s: float = 0.005) -> Sequence[Edge]:
    """Return the edges of a contact that bounces before it settles at the edge's level."""
    step_s = within_s / (2 * times)
    flips = [Edge(edge.at_s + at * step_s, edge.line, (edge.level + at) % 2) for at in range(2 * times)]
    return [*flips, Edge(edge.at_s + within_s, edge.line, edge.level)]
