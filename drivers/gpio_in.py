"""A contact or any other signal on a GPIO line: doors, panic buttons, motion detectors, barriers, mains.

Source: Linux kernel documentation, userspace-api/gpio/chardev (edge events, debounce, bias).
"""

from collections.abc import Mapping, Sequence

from drivers.sdk.contract import Field, Item, Measurement, Options, Page
from drivers.sdk.edges import BIAS, EdgeDecoderBase
from drivers.sdk.gpio import Edge, EdgeDecoder, GpioDriver


class Contact(EdgeDecoderBase):
    """Reports each change as the event ``on`` or ``off``, and the state when asked for it."""

    def __init__(self) -> None:
        self._on: bool | None = None

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        on = levels.get("line") == 1
        return self.sample(at_s) if self._on == on else self._change(on, first=self._on is None)

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        items: list[Item] = []
        for edge in edges:
            on = edge.level == 1
            if on != self._on:
                items += self._change(on)
        return items

    def sample(self, at_s: float) -> list[Item]:
        return [] if self._on is None else [Measurement({"state": self._on})]

    def _change(self, on: bool, *, first: bool = False) -> list[Item]:
        """Report a change. The initial state is not an event."""
        self._on = on
        return [Measurement({"state": on}, event="" if first else "on" if on else "off")]


def _edges(options: Options) -> EdgeDecoder:
    return Contact()


DRIVER = GpioDriver(
    name="gpio_in",
    title="A contact, button, motion detector or signal on a GPIO line",
    source="Linux kernel documentation, userspace-api/gpio/chardev",
    fields={"state": Field("", "state")},
    period_s=0.0,
    edges=_edges,
    options={"bias": BIAS},
    inline=True,
    debounce_ms=20.0,
    page=Page(
        about="Each change is an event, on or off, at the kernel's time of the edge; the state itself is sent at\n"
        "start and, with interval_s, every so often.",
        wiring='A contact between the line and GND, with bias = "pull_up" and active_low = true: closed is on.\n'
        "  Lines of a Raspberry Pi tolerate at most 3.3 V; connect 12 V or mains only through an optocoupler.",
        pitfalls=(
            "Contacts bounce: leave debounce_ms at 20 to 50.",
            "A long cable picks up interference: use twisted pair, and a stronger pull resistor (1 kohm).",
            "Use line names (GPIO17), not offsets: chip numbers differ between boards.",
        ),
        example='[[sensor]]\nid = "door-1"\ndriver = "gpio_in"\nchip = "gpiochip0"\nline = "GPIO17"\n'
        'active_low = true\nbias = "pull_up"\ndebounce_ms = 50\n',
    ),
)
