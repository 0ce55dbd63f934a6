"""When an answer on a noisy line is whole."""

import pytest

from drivers.sdk.bus import ModbusRead
from drivers.sdk.modbus import AnswerFinder, answer, refusal

READ = ModbusRead(4, 0, 2)
WHOLE = answer(1, READ, b"\x01\x02\x03\x04")


@pytest.mark.parametrize(
    "raw",
    [
        WHOLE,
        b"\x00\xff" + WHOLE,
        WHOLE + b"\x00",
        WHOLE[:4] + WHOLE,
        refusal(1, READ, 2),
        b"\x00" + refusal(9, READ, 4),
        b"\x01\x04" + WHOLE,
        b"\x01\x84" + WHOLE,
        WHOLE[:-1] + b"\x00" + WHOLE,
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_answer_is_noticed_when_it_is_whole(raw: bytes, size: int) -> None:
    end = len(raw.removesuffix(b"\x00"))
    finder = AnswerFinder(READ)
    for at in range(0, len(raw), size):
        finder.feed(raw[at : at + size])
        assert finder.found == (at + size >= end)
    assert finder.found
    assert finder.over
    assert finder.received == raw


@pytest.mark.parametrize(
    "raw", [b"", b"\x01", WHOLE[:-1], WHOLE[:-1] + b"\xff", answer(1, ModbusRead(3, 0, 2), b"\x00" * 4), b"\x55" * 1000]
)
def test_what_is_no_answer_is_none(raw: bytes) -> None:
    finder = AnswerFinder(READ)
    finder.feed(raw)
    assert not finder.over


def test_noise_without_end_is_not_waited_for() -> None:
    finder = AnswerFinder(READ)
    finder.feed(b"\x55" * 20_000)
    assert finder.over
    assert not finder.found
