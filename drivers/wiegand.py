"""Card readers with a Wiegand interface: each bit of a card's number is a pulse on one of two lines.

Source: Security Industry Association, AC-01-1996.10, access control standard protocol for the 26-bit Wiegand reader
interface (pulses, parity, facility and card). 34 bits: the same with two numbers of 16 bits; the parity of both agrees
with ESPHome, wiegand. Pulse times outside the standard's range, and the silence of 25 ms, are those of readers on the
market.
"""

from collections.abc import Mapping, Sequence

from drivers.sdk.contract import Field, Item, Measurement, Option, Options, Page, Rejected, Value
from drivers.sdk.edges import BIAS
from drivers.sdk.gpio import Edge, EdgeDecoder, GpioDriver

_LINES = ("d0", "d1")
_SILENCE_S = 0.025
_MIN_BITS = 4
_MAX_BITS = 128
_MAX_EXACT_BITS = 53
_FACILITY_BITS = {26: 8, 34: 16}
"""How many bits of a number with parity belong to the facility; the card has 16."""


def decode(bits: str) -> Measurement | Rejected:
    """Decode a frame of ``0`` and ``1``: facility and card if the length has parity, otherwise all bits as the card."""
    count = len(bits)
    if not _MIN_BITS <= count <= _MAX_BITS:
        return Rejected("format")
    values: dict[str, Value] = {"bits": count}
    if count in _FACILITY_BITS:
        half = count // 2
        if bits[:half].count("1") % 2 != 0 or bits[half:].count("1") % 2 != 1:
            return Rejected("parity")
        values["facility"] = int(bits[1 : 1 + _FACILITY_BITS[count]], 2)
        values["card"] = int(bits[1 + _FACILITY_BITS[count] : -1], 2)
    elif count <= _MAX_EXACT_BITS:
        values["card"] = int(bits, 2)
    else:  # not a number that every subscriber reads exactly
        values["card"] = f"{int(bits, 2):0{(count + 3) // 4}x}"
    return Measurement(values, event="seen")


class BitDecoder:
    """Collects the pulses of a frame, up to the silence after it."""

    def __init__(self) -> None:
        self._bits: list[str] = []
        self._last_s = 0.0
        self._corrupt = False

    @property
    def due_s(self) -> float | None:
        return self._last_s + _SILENCE_S if self._bits or self._corrupt else None

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        """Restart. Bits still to come belong to the corrupt frame, and are dropped with it."""
        if self._corrupt:
            self._last_s = max(self._last_s, at_s)
        self._bits.clear()
        return []

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        items: list[Item] = []
        for edge in edges:
            items += self.tick(edge.at_s)
            if edge.level == 0:
                self._last_s = edge.at_s
                if len(self._bits) <= _MAX_BITS and not self._corrupt:
                    self._bits.append("0" if edge.line == "d0" else "1")
        return items

    def tick(self, at_s: float) -> list[Item]:
        due_s = self.due_s
        if due_s is None or at_s < due_s:
            return []
        bits, self._bits = "".join(self._bits), []
        if self._corrupt:
            self._corrupt = False
            return []
        return [decode(bits)]

    def sample(self, at_s: float) -> list[Item]:
        return []

    def lost(self, line: str, count: int) -> list[Item]:
        """Reject the current frame: it has lost bits, whatever its parity."""
        if self._corrupt:
            return []
        self._bits.clear()
        self._corrupt = True
        return [Rejected("overload")]

    def totals(self) -> Mapping[str, int]:
        return {}

    def restore(self, totals: Mapping[str, int]) -> None:
        return None


def _edges(options: Options) -> EdgeDecoder:
    return BitDecoder()


DRIVER = GpioDriver(
    name="wiegand",
    title="Card readers and keypads with a Wiegand interface (26, 34 and other numbers of bits)",
    source="Security Industry Association, AC-01-1996.10, 26-bit Wiegand reader interface",
    fields={
        "bits": Field("count", "state", min=_MIN_BITS, max=_MAX_BITS),
        "facility": Field("", "state", identifier=True),
        "card": Field("", "state", identifier=True),
    },
    period_s=0.0,
    edges=_edges,
    options={
        "line_d0": Option("line", doc="the line of DATA0 (green)", required=True),
        "line_d1": Option("line", doc="the line of DATA1 (white)", required=True),
        "bias": BIAS,
    },
    inline=True,
    lines=_LINES,
    edge="falling",
    page=Page(
        about="Each card is the event seen. Its number leaves the gateway only as a keyed hash. 26 and 34 bits have\n"
        "parity, and are split into facility and card; for any other length, all bits are the card.",
        wiring="12 V or 5 V and GND to the reader; DATA0 (green) and DATA1 (white) through a level converter from\n"
        "  5 V to 3.3 V, each with a pull-up: a line of a Raspberry Pi tolerates at most 3.3 V.",
        pitfalls=(
            "The same card read with 26 and with 34 bits agrees only in its low 24 bits: use one kind of reader.",
            "Do not set debounce_ms: the pulses last 20 to 200 microseconds.",
            "Without the level converter, the board will be damaged sooner or later.",
            "A frame is dropped if the kernel lost an edge: present the card again.",
        ),
        example='[[sensor]]\nid = "gate-1"\ndriver = "wiegand"\nchip = "gpiochip0"\nline_d0 = "GPIO24"\n'
        'line_d1 = "GPIO25"\n',
    ),
)
