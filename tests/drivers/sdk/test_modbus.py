from collections.abc import Mapping

import pytest

from drivers.sdk.bus import ModbusRead
from drivers.sdk.contract import Item, Measurement, Rejected, Value
from drivers.sdk.modbus import AnswerDecoder, Block, answer, refusal, request, sealed

FIRST, SECOND, LONG = ModbusRead(4, 0, 1), ModbusRead(4, 6, 1), ModbusRead(3, 0, 3)


def block(read: ModbusRead, name: str) -> Block:
    def take(content: bytes) -> Mapping[str, Value]:
        return {name: int.from_bytes(content, "big")}

    return Block(read, (name,), take)


def said(read: ModbusRead, value: int) -> bytes:
    return answer(1, read, value.to_bytes(2 * read.count, "big"))


def one() -> AnswerDecoder:
    return AnswerDecoder([block(FIRST, "a")])


def several() -> AnswerDecoder:
    """Two reads whose answers look alike, and one whose answer does not."""
    return AnswerDecoder([block(FIRST, "a"), block(SECOND, "b"), block(LONG, "c")])


def items(decoder: AnswerDecoder, raw: bytes) -> list[Item]:
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


ROUND = said(FIRST, 11) + said(SECOND, 22) + said(LONG, 33)
WHOLE = Measurement({"a": 11, "b": 22, "c": 33})


def test_a_request_is_that_of_the_specification() -> None:
    assert request(0xFE, ModbusRead(4, 3, 1)) == bytes.fromhex("FE 04 00 03 00 01 D5 C5")


def test_the_last_answer_of_a_round_gives_the_measurement() -> None:
    decoder = several()
    assert decoder.feed(said(FIRST, 11) + said(SECOND, 22), 0) == []
    assert decoder.feed(said(LONG, 33), 0) == [WHOLE]
    assert decoder.feed(ROUND, 0) == [WHOLE]


@pytest.mark.parametrize("noise", ["00", "FF", "00 FF 00", "01", "01 04", "01 84"])
def test_noise_around_an_answer_is_skipped(noise: str) -> None:
    around = bytes.fromhex(noise)
    decoder = one()

    assert items(decoder, around + said(FIRST, 7) + around) == [Measurement({"a": 7})]
    assert decoder.skipped == 2 * len(around)
    assert items(several(), said(FIRST, 11) + around + said(SECOND, 22) + around + said(LONG, 33)) == [WHOLE]


def test_an_exception_answer_is_the_device_s_refusal() -> None:
    assert items(one(), refusal(1, FIRST, 2)) == [Rejected("device")]
    assert items(several(), said(FIRST, 11) + refusal(1, SECOND, 2) + said(LONG, 33)) == [
        Rejected("device"),
        Measurement({"a": 11, "b": None, "c": 33}, {"b": "bad:device"}),
    ]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_what_a_device_may_not_have_is_absent_where_it_says_so(code: int) -> None:
    maybe = ModbusRead(3, 6, 1, optional=True)
    decoder = AnswerDecoder([block(FIRST, "a"), block(maybe, "b"), block(LONG, "c")])

    assert items(decoder, said(FIRST, 11) + refusal(1, maybe, code) + said(LONG, 33)) == [
        Measurement({"a": 11, "c": 33})
    ]
    assert items(decoder, said(FIRST, 11) + said(maybe, 22) + said(LONG, 33)) == [WHOLE]


def test_a_device_that_has_a_register_and_cannot_read_it_is_in_doubt() -> None:
    maybe = ModbusRead(3, 6, 1, optional=True)
    decoder = AnswerDecoder([block(FIRST, "a"), block(maybe, "b")])

    assert items(decoder, said(FIRST, 11) + refusal(1, maybe, 4)) == [
        Rejected("device"),
        Measurement({"a": 11, "b": None}, {"b": "bad:device"}),
    ]


def test_a_read_without_an_answer_leaves_only_its_own_fields_out() -> None:
    decoder = several()
    decoder.feed(said(FIRST, 11), 0)
    assert decoder.missed(0) == []

    assert decoder.feed(said(LONG, 33), 0) == [Measurement({"a": 11, "b": None, "c": 33}, {"b": "bad:timeout"})]


def test_a_round_without_any_answer_is_no_measurement() -> None:
    decoder = several()

    assert [item for _ in range(3) for item in decoder.missed(0)] == []
    assert decoder.finish(0) == []
    assert items(decoder, ROUND) == [WHOLE]


def test_what_there_is_of_a_round_is_given_when_it_is_over() -> None:
    decoder = several()

    assert items(decoder, said(FIRST, 11)) == [Measurement({"a": 11})]
    assert items(decoder, ROUND) == [WHOLE]


def test_after_a_broken_answer_none_of_the_round_is_taken_for_another() -> None:
    broken = bytearray(said(FIRST, 11))
    broken[4] ^= 1
    decoder = several()

    assert items(decoder, bytes(broken) + said(SECOND, 22) + said(LONG, 33)) == [Rejected("crc")]
    assert items(decoder, ROUND) == [WHOLE]


def test_an_answer_broken_beyond_recognition_is_not_replaced_by_the_next() -> None:
    broken = bytearray(said(FIRST, 11))
    broken[1] ^= 0x40

    assert items(several(), bytes(broken) + said(SECOND, 22) + said(LONG, 33)) == []


def test_a_broken_answer_to_a_single_read_costs_only_itself() -> None:
    broken = bytearray(said(FIRST, 11))
    broken[4] ^= 1

    assert items(one(), bytes(broken) + said(FIRST, 12)) == [Rejected("crc"), Measurement({"a": 12})]


def test_an_answer_from_any_unit_is_read() -> None:
    assert items(one(), answer(0xFE, FIRST, b"\x00\x05")) == [Measurement({"a": 5})]


def test_an_answer_of_another_length_is_none() -> None:
    assert items(one(), answer(1, LONG, bytes(6)) + sealed(b"\x01\x04\x04\x00\x00\x00\x00")) == []


def test_a_decoder_without_reads_takes_anything() -> None:
    assert items(AnswerDecoder(()), ROUND) == []
