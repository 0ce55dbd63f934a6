from drivers.gpio_out import DRIVER
from drivers.sdk.contract import Measurement


def test_how_a_line_was_set_is_its_state() -> None:
    decoder = DRIVER.edges({})

    assert DRIVER.output
    assert decoder.start({"line": 0}, 0) == [Measurement({"state": False})]
    assert decoder.start({"line": 1}, 1) == [Measurement({"state": True})]
    assert decoder.sample(2) == [Measurement({"state": True})]
