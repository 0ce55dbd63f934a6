import json

import pytest

from drivers.gpio_in import DRIVER as CONTACT
from drivers.rain_gauge import DRIVER as RAIN
from drivers.sdk.contract import Item, Measurement
from drivers.sdk.gpio import GpioDriver
from drivers.wiegand import DRIVER as READER


def items(driver: GpioDriver, text: str) -> tuple[list[Item], int]:
    decoder = driver.decoder({})
    found = [*decoder.feed(text.encode(), 0), *decoder.finish(0)]
    return found, decoder.skipped


@pytest.mark.parametrize(
    "text", ['[[0, "LINE", 1]]', '[\n  [ 0.0 , "line" ,1 ]\n]', '[0e0, "line", 1]', 'x[[0,"line",1],']
)
def test_edges_may_be_written_in_any_way(text: str) -> None:
    assert items(CONTACT, text)[0] == [Measurement({"state": True}, event="on")]


def test_what_is_no_edge_of_the_device_is_skipped() -> None:
    text = '[[0, "d2", 0], [1, "d1", 2]' + "".join(f', [{at / 1000}, "d1", 0]' for at in range(4)) + "]"
    found, skipped = items(READER, text)

    assert found == [Measurement({"bits": 4, "card": 0b1111}, event="seen")]
    assert skipped == len('0"d2"0') + len('1"d1"2'), "brackets, commas and blanks do not count"


def test_the_only_line_of_a_device_may_have_any_name() -> None:
    assert items(CONTACT, '[[0, "GPIO17", 1]]')[0] == [Measurement({"state": True}, event="on")]


def test_a_time_that_falls_is_taken_for_the_last_one() -> None:
    text = json.dumps([[5.0, "d0", 0], [1.0, "d1", 0], [5.001, "d1", 0], [5.002, "d1", 0]])

    assert items(READER, text)[0] == [Measurement({"bits": 4, "card": 0b0111}, event="seen")]


def test_a_count_is_told_at_the_end_and_only_if_there_was_an_edge() -> None:
    assert items(RAIN, '[[0, "line", 1]]')[0] == [Measurement({"rain": 0.2, "tips": 1})]
    assert items(RAIN, "nothing here") == ([], len("nothinghere"))
