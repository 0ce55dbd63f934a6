import pytest

from drivers.pn532 import DRIVER, frame
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sim.encoders import pn532_frames

ACK = bytes.fromhex("00 00 FF 00 FF 00")


def items(raw: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


@pytest.mark.parametrize("uid", ["b0864d25", "04a1b2c3d4e5f6", "00112233445566778899"])
def test_a_uid_has_four_seven_or_ten_bytes(uid: str) -> None:
    assert items(pn532_frames({"uid": uid})) == [Measurement({"targets": 1, "uid": uid})]


def test_acknowledgements_and_other_answers_say_nothing() -> None:
    assert items(ACK + frame(b"\xd5\x15") + ACK + frame(b"\xd5\x33")) == []


def test_the_device_s_error_frame_is_told() -> None:
    assert items(bytes.fromhex("00 00 FF 01 FF 7F 81 00")) == [Rejected("device")]


def test_the_questions_are_those_of_the_manual() -> None:
    assert DRIVER.request == bytes.fromhex("00 00 FF 04 FC D4 4A 01 00 E1 00")
    waking, patience = DRIVER.setup
    assert waking == b"\x55\x55" + bytes(14) + bytes.fromhex("00 00 FF 03 FD D4 14 01 17 00")
    assert patience == bytes.fromhex("00 00 FF 06 FA D4 32 05 FF 01 10 E5 00")


@pytest.mark.parametrize(
    "content",
    [b"\xd5\x4b", b"\xd5\x4b\x01", b"\xd5\x4b\x01\x01\x00\x04\x08\x05ABCDE", b"\xd5\x4b\x01\x01\x00\x04\x08\x07ABCD"],
)
def test_a_card_that_cannot_be_is_refused(content: bytes) -> None:
    assert items(frame(content)) == [Rejected("format")]


def test_a_wrong_length_costs_only_its_own_frame() -> None:
    broken = bytearray(pn532_frames({"uid": "b0864d25"}))
    broken[9] ^= 0x40

    assert items(bytes(broken) + pn532_frames({"uid": "01020304"}))[-1] == Measurement(
        {"targets": 1, "uid": "01020304"}
    )
