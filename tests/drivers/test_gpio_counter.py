from drivers.gpio_counter import DRIVER
from drivers.sdk.contract import Measurement
from drivers.sim.edges import pulses


def test_rises_are_counted_and_told_by_samples() -> None:
    decoder = DRIVER.edges({})

    assert decoder.edges(pulses(3)) == []
    assert decoder.sample(10) == [Measurement({"count": 3})]


def test_a_count_goes_on_after_a_restart() -> None:
    before = DRIVER.edges({})
    before.edges(pulses(5))
    after = DRIVER.edges({})
    after.restore({**before.totals(), "unknown": 1})
    after.start({"line": 0}, 0)
    after.edges(pulses(2))

    assert after.sample(10) == [Measurement({"count": 7})]


def test_a_pulse_that_the_kernel_could_not_hold_is_counted_all_the_same() -> None:
    decoder = DRIVER.edges({})
    assert DRIVER.edge == "rising"
    decoder.edges(pulses(2))
    decoder.lost("line", 40)
    decoder.start({"line": 0}, 3)

    assert decoder.sample(10) == [Measurement({"count": 42})]
