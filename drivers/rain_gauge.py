"""Tipping bucket rain gauges with a reed contact that closes once per tip.

Source: World Meteorological Organization, Guide to Instruments (WMO-No. 8), volume I, 6.5 (tipping-bucket gauges);
0.2794 mm per tip: SparkFun Weather Meter Kit, rain gauge.
"""

from collections.abc import Mapping

from drivers.sdk.contract import Field, Option, Options, Page, Value
from drivers.sdk.edges import BIAS, PulseCounter
from drivers.sdk.gpio import EdgeDecoder, GpioDriver

_MM_PER_TIP = 0.2


def _edges(options: Options) -> EdgeDecoder:
    option = options.get("mm_per_tip")
    per_tip = float(option) if isinstance(option, (int, float)) else _MM_PER_TIP

    def values(tips: int) -> Mapping[str, Value]:
        return {"rain": tips * per_tip, "tips": tips}

    return PulseCounter("tips", values)


DRIVER = GpioDriver(
    name="rain_gauge",
    title="A tipping bucket rain gauge with a reed contact",
    source="WMO-No. 8, Guide to Instruments and Methods of Observation, volume I, 6.5",
    fields={
        "rain": Field("mm", "counter", resolution=0.0001, min=0),
        "tips": Field("count", "counter", resolution=1, min=0),
    },
    period_s=60.0,
    edges=_edges,
    options={
        "mm_per_tip": Option(
            "float", _MM_PER_TIP, "mm of rain per tip, as specified by the manufacturer", min=0.001, max=10
        ),
        "bias": BIAS,
    },
    inline=True,
    edge="rising",
    debounce_ms=50.0,
    page=Page(
        about="Counts the tips of a bucket. Both totals never decrease and survive a restart of the agent.",
        wiring='The reed contact between the line and GND, with bias = "pull_up" and active_low = true.',
        pitfalls=(
            "Gauges come with 0.2, 0.2794 or 0.5 mm per tip: set mm_per_tip, and check it with a measured bottle.",
            "The reed contact bounces: leave debounce_ms at 50 to 100.",
            "Leaves and insects block the bucket: no rain for a month may mean a blocked funnel.",
        ),
        example='[[sensor]]\nid = "rain-1"\ndriver = "rain_gauge"\nchip = "gpiochip0"\nline = "GPIO23"\n'
        'active_low = true\nbias = "pull_up"\nmm_per_tip = 0.2794\ninterval_s = 60\n',
    ),
)
