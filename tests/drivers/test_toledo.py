import pytest

from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.toledo import DRIVER, checksum

PLAIN = bytes.fromhex("02 2A 30 20 30 30 30 36 31 30 30 30 30 30 30 30 0D")


def items(raw: bytes, checksum: str = "auto") -> list[Item]:
    decoder = DRIVER.decoder({"checksum": checksum})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


def frame(first: int = 0x2A, second: int = 0x30, third: int = 0x20, weight: str = "000610") -> bytes:
    return bytes((0x02, first, second, third)) + weight.encode() + b"000020\r"


def value(raw: bytes, name: str = "weight") -> object:
    (item,) = items(raw)
    assert isinstance(item, Measurement)
    return item.values[name]


@pytest.mark.parametrize(
    ("code", "weight"), [(0, 61000), (1, 6100), (2, 610), (3, 61), (4, 6.1), (5, 0.61), (7, 0.0061)]
)
def test_the_first_status_word_holds_the_decimals(code: int, weight: float) -> None:
    assert value(frame(0x28 | code)) == pytest.approx(weight)


def test_leading_blanks_are_no_digits() -> None:
    assert value(frame(weight="   610")) == 610


def test_a_negative_net_weight() -> None:
    assert value(frame(second=0x33)) == -610
    assert value(frame(second=0x33), "net") is True


@pytest.mark.parametrize(
    ("second", "third", "weight"), [(0x20, 0x20, 276.6914), (0x30, 0x21, 0.61), (0x30, 0x22, 610_000)]
)
def test_other_units_become_kilograms(second: int, third: int, weight: float) -> None:
    assert value(frame(second=second, third=third)) == pytest.approx(weight, abs=0.001)


def test_an_overload_is_no_weight() -> None:
    (item,) = items(frame(second=0x34))

    assert isinstance(item, Measurement)
    assert (item.values["weight"], item.values["overload"]) == (None, True)
    assert item.q == {"weight": "bad:overload"}


@pytest.mark.parametrize(("second", "doubt"), [(0x70, "uncertain:unset"), (0x78, "uncertain:motion")])
def test_a_scale_that_was_not_zeroed_since_power_came_on_is_in_doubt(second: int, doubt: str) -> None:
    (item,) = items(frame(second=second))

    assert isinstance(item, Measurement)
    assert (item.values["weight"], item.q) == (610, {"weight": doubt})


def test_blanks_alone_are_no_weight() -> None:
    (item,) = items(frame(weight="      "))

    assert isinstance(item, Measurement)
    assert item.q == {"weight": "bad:device"}


def test_the_parity_of_seven_bit_lines_is_dropped() -> None:
    even = bytes(byte | (byte.bit_count() % 2) << 7 for byte in PLAIN)
    assert even != PLAIN

    assert items(even) == items(PLAIN)


def test_frames_follow_each_other_with_and_without_a_checksum() -> None:
    summed = PLAIN + bytes((checksum(PLAIN),))

    assert items(PLAIN * 3) == items(PLAIN) * 3
    assert items(summed * 3) == items(PLAIN) * 3
    assert items(summed * 3, "on") == items(PLAIN) * 3
    assert items(PLAIN * 3, "off") == items(PLAIN) * 3


def test_a_wrong_checksum_is_refused() -> None:
    wrong = PLAIN + bytes((checksum(PLAIN) ^ 1,))

    assert items(wrong) == items(wrong, "on") == [Rejected("checksum")]


def test_where_a_checksum_is_demanded_a_frame_without_one_is_none() -> None:
    assert items(PLAIN, "on") == []


@pytest.mark.parametrize("weight", ["00 610", "0006x0", "-00610"])
def test_what_is_no_number_is_refused(weight: str) -> None:
    assert items(frame(weight=weight)) == [Rejected("format")]
