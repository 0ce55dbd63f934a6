import pytest

from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sdk.framing import FrameError
from drivers.sim.models import model
from drivers.sps30 import DRIVER, frame, stuff, unstuff


def items(raw: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


def test_stuffing_is_undone_in_one_pass() -> None:
    assert unstuff(bytes.fromhex("7D 5D 31")) == bytes.fromhex("7D 31")
    assert unstuff(bytes.fromhex("7D 31")) == bytes.fromhex("11")


@pytest.mark.parametrize("plain", [bytes(range(256)), bytes.fromhex("7D 31 7E 7D 5D 11 13")])
def test_stuffing_there_and_back(plain: bytes) -> None:
    assert b"\x7e" not in stuff(plain)
    assert unstuff(stuff(plain)) == plain


@pytest.mark.parametrize("raw", ["7D", "7D 00", "00 7D 5C"])
def test_an_escape_of_nothing_is_refused(raw: str) -> None:
    with pytest.raises(FrameError, match="format"):
        unstuff(bytes.fromhex(raw))


def test_the_set_up_and_the_question_are_those_of_the_datasheet() -> None:
    assert DRIVER.setup == (bytes.fromhex("7E 00 00 02 01 03 F9 7E"),)
    assert DRIVER.request == bytes.fromhex("7E 00 03 00 FC 7E")


def test_a_device_that_must_be_started_first_says_so() -> None:
    assert items(frame(bytes((0, 3, 0x43, 0)))) == [Rejected("device")]


def test_a_faulty_device_s_values_are_doubted() -> None:
    good = model("sps30").encode({})
    plain = unstuff(good[1:-1])
    (item,) = items(frame(plain[:2] + b"\x80" + plain[3:-1]))

    assert isinstance(item, Measurement)
    assert set(item.q.values()) == {"uncertain:device"}


def test_no_new_values_and_other_answers_say_nothing() -> None:
    assert items(frame(bytes((0, 3, 0, 0))) + frame(bytes((0, 0, 0, 0))) + frame(b"\x00\xd0\x00\x03SPS")) == []


def test_values_of_another_length_are_refused() -> None:
    assert items(frame(bytes((0, 3, 0, 20)) + bytes(20))) == [Rejected("format")]
    assert items(frame(bytes((0, 3, 0, 41)) + bytes(40))) == [Rejected("format")]
    assert items(frame(bytes((0, 3, 0, 40)) + bytes(41))) == [Rejected("format")]
