import pytest

from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sdk.gpio import Edge
from drivers.sim.edges import wiegand_bits, wiegand_edges
from drivers.wiegand import DRIVER, decode

BITS = "00101101000000001010001000"


def items(*frames: list[Edge]) -> list[Item]:
    decoder = DRIVER.edges({})
    found = [item for frame in frames for item in decoder.edges(frame)]
    due_s = decoder.due_s
    return found + (decoder.tick(due_s) if due_s is not None else [])


def card(facility: int, number: int, bits: int = 26) -> Measurement:
    return Measurement({"bits": bits, "facility": facility, "card": number}, event="seen")


def test_a_frame_ends_after_25_ms_of_silence_and_not_before() -> None:
    decoder = DRIVER.edges({})
    edges = wiegand_edges(BITS)
    assert decoder.edges(edges) == []
    last_s = max(edge.at_s for edge in edges if edge.level == 0)

    assert decoder.due_s == pytest.approx(last_s + 0.025)
    assert decoder.tick(last_s + 0.0249) == []
    assert decoder.tick(last_s + 0.0251) == [card(90, 324)]
    assert decoder.due_s is None


def test_the_next_card_ends_the_frame_before_it() -> None:
    assert items(wiegand_edges(BITS), wiegand_edges(wiegand_bits(7, 65535), start_s=2)) == [
        card(90, 324),
        card(7, 65535),
    ]


def test_34_bits_have_two_numbers_of_16() -> None:
    assert items(wiegand_edges(wiegand_bits(0x1234, 0xABCD, 34))) == [card(0x1234, 0xABCD, 34)]


@pytest.mark.parametrize("at", range(26))
def test_any_wrong_bit_of_26_is_found(at: int) -> None:
    flipped = BITS[:at] + "10"[int(BITS[at])] + BITS[at + 1 :]

    assert decode(flipped) == Rejected("parity")


def test_a_number_of_any_other_length_is_whole() -> None:
    assert decode("1011") == Measurement({"bits": 4, "card": 0b1011}, event="seen")
    assert decode("1" * 37) == Measurement({"bits": 37, "card": 2**37 - 1}, event="seen")


def test_a_number_too_long_for_a_subscriber_s_float_is_hexadecimal() -> None:
    assert decode("1" * 56) == Measurement({"bits": 56, "card": "f" * 14}, event="seen")


@pytest.mark.parametrize("bits", ["1", "101", "1" * 129])
def test_a_spark_or_a_storm_is_no_card(bits: str) -> None:
    assert decode(bits) == Rejected("format")


def test_a_storm_of_pulses_is_not_kept() -> None:
    decoder = DRIVER.edges({})
    decoder.edges([Edge(at * 0.001, "d1", 0) for at in range(100_000)])
    due_s = decoder.due_s
    assert due_s is not None

    assert decoder.tick(due_s) == [Rejected("format")]


def test_a_frame_that_lost_an_edge_is_dropped_whole() -> None:
    decoder = DRIVER.edges({})
    edges = wiegand_edges(BITS)
    assert decoder.edges(edges[:20]) == []
    assert decoder.lost("d0", 1) == [Rejected("overload")]
    assert decoder.start({"d0": 1, "d1": 1}, edges[20].at_s) == []
    assert decoder.edges(edges[22:]) == []
    due_s = decoder.due_s
    assert due_s is not None
    assert decoder.tick(due_s) == []

    assert decoder.edges(wiegand_edges(BITS, start_s=3)) == []
    assert decoder.tick(4) == [card(90, 324)]
