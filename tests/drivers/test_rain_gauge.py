import pytest

from drivers.rain_gauge import DRIVER
from drivers.sdk.contract import Measurement
from drivers.sim.edges import pulses


@pytest.mark.parametrize(("options", "rain"), [({}, 2.0), ({"mm_per_tip": 0.2794}, 2.794), ({"mm_per_tip": 1}, 10.0)])
def test_each_tip_is_so_much_rain(options: dict[str, float], rain: float) -> None:
    decoder = DRIVER.edges(options)
    decoder.edges(pulses(10))
    (item,) = decoder.sample(20)

    assert isinstance(item, Measurement)
    assert item.values == {"rain": pytest.approx(rain), "tips": 10}


def test_what_is_kept_are_the_tips_so_that_the_bucket_may_be_measured_later() -> None:
    decoder = DRIVER.edges({})
    decoder.restore({"tips": 4})

    assert decoder.totals() == {"tips": 4}
