"""A siren, a lamp or a relay on a GPIO line, switched by commands.

Source: Linux kernel documentation, userspace-api/gpio/chardev (output lines).
"""

from collections.abc import Mapping, Sequence

from drivers.sdk.contract import Field, Item, Measurement, Options, Page
from drivers.sdk.edges import EdgeDecoderBase
from drivers.sdk.gpio import Edge, EdgeDecoder, GpioDriver


class Output(EdgeDecoderBase):
    """Reports the state that the line was set to."""

    def __init__(self) -> None:
        self._on: bool | None = None

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        self._on = levels.get("line") == 1
        return self.sample(at_s)

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        if edges:
            self._on = edges[-1].level == 1
        return []

    def sample(self, at_s: float) -> list[Item]:
        return [] if self._on is None else [Measurement({"state": self._on})]


def _edges(options: Options) -> EdgeDecoder:
    return Output()


DRIVER = GpioDriver(
    name="gpio_out",
    title="A siren, lamp or relay on a GPIO line",
    source="Linux kernel documentation, userspace-api/gpio/chardev",
    fields={"state": Field("", "state")},
    period_s=0.0,
    edges=_edges,
    inline=True,
    output=True,
    page=Page(
        about="Switched by the command output; its state is sent whenever it is set. It is off while the agent\n"
        "is not running.",
        wiring="Use a transistor or a relay board with an optocoupler: a line supplies 3.3 V and a few milliamperes.",
        pitfalls=(
            "Most relay boards switch on with a low signal: active_low = true.",
            "The command output works only if [commands] allow lists it.",
        ),
        example='[[sensor]]\nid = "siren-1"\ndriver = "gpio_out"\nchip = "gpiochip0"\nline = "GPIO27"\n',
    ),
)
