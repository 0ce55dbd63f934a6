"""Counts pulses on a GPIO line: tickets, turnstiles, meters with an S0 output.

Source: Linux kernel documentation, userspace-api/gpio/chardev (edge events, line_seqno).
"""

from drivers.sdk.contract import Field, Options, Page
from drivers.sdk.edges import BIAS, PulseCounter
from drivers.sdk.gpio import EdgeDecoder, GpioDriver


def _edges(options: Options) -> EdgeDecoder:
    return PulseCounter("count", lambda count: {"count": count})


DRIVER = GpioDriver(
    name="gpio_counter",
    title="A counter of pulses on a GPIO line",
    source="Linux kernel documentation, userspace-api/gpio/chardev",
    fields={"count": Field("count", "counter", resolution=1, min=0)},
    period_s=10.0,
    edges=_edges,
    options={"bias": BIAS},
    inline=True,
    edge="rising",
    page=Page(
        about="Counts the pulses of a line. The count never decreases and survives a restart of the agent.",
        wiring='A contact or an open collector between the line and GND, with bias = "pull_up" and\n'
        "  active_low = true: each closing counts. Lines tolerate at most 3.3 V.",
        pitfalls=(
            "Contacts bounce: set debounce_ms (20 to 100); meters with a solid-state output need none.",
            "Pulses are not counted while the agent is not running.",
            "Pulses that overflow the kernel's buffer are still counted, by their sequence numbers.",
        ),
        example='[[sensor]]\nid = "tickets"\ndriver = "gpio_counter"\nchip = "gpiochip0"\nline = "GPIO22"\n'
        'active_low = true\nbias = "pull_up"\ndebounce_ms = 50\ninterval_s = 60\n',
    ),
)
