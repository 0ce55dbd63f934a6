import pytest

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Measurement, Rejected
from drivers.sdk.framing import Check, FrameDecoder, FrameError, FrameFormat, LengthField, LineDecoder


def length_of(frame: bytes, at_s: float) -> Measurement:
    return Measurement({"size": len(frame)})


COUNTED = FrameFormat(
    b"\xf4\xf3",
    LengthField(2, "<H", add=6, min_=8, max_=40),
    tail=b"\xf8",
    check=Check(CHECKSUMS["sum8"], 2, -2, -2),
)


def counted(payload: bytes) -> bytes:
    body = len(payload).to_bytes(2, "little") + payload
    return b"\xf4\xf3" + body + bytes([sum(body) & 0xFF]) + b"\xf8"


def test_a_length_field_says_how_long_a_frame_is() -> None:
    decoder = FrameDecoder(COUNTED, length_of)
    stream = counted(b"abc") + counted(b"a longer payload")

    assert decoder.feed(stream, 0) == [Measurement({"size": 9}), Measurement({"size": 22})]


@pytest.mark.parametrize("size", [0, 1, 35, 0xFFFF])
def test_an_impossible_length_is_rejected_at_once(size: int) -> None:
    decoder = FrameDecoder(COUNTED, length_of)
    stream = b"\xf4\xf3" + size.to_bytes(2, "little")

    assert decoder.feed(stream, 0) == [Rejected("format")]
    assert decoder.feed(counted(b"abc"), 0) == [Measurement({"size": 9})]


def test_a_wrong_tail_is_a_wrong_format_and_a_wrong_sum_a_wrong_checksum() -> None:
    good = counted(b"abc")
    decoder = FrameDecoder(COUNTED, length_of)

    assert decoder.feed(good[:-1] + b"\x00", 0) == [Rejected("format")]
    assert decoder.feed(good[:-2] + b"\x00\xf8", 0) == [Rejected("checksum")]


def test_a_frame_inside_a_rejected_candidate_is_read() -> None:
    decoder = FrameDecoder(COUNTED, length_of)
    outer = b"\xf4\xf3\x20\x00" + counted(b"abc") + b"filler" * 5

    assert Measurement({"size": 9}) in decoder.feed(outer, 0)


def test_finish_reads_what_hides_behind_a_begun_frame() -> None:
    decoder = FrameDecoder(COUNTED, length_of)

    assert decoder.feed(b"\xf4\xf3\x20\x00" + counted(b"abc"), 0) == []
    assert decoder.finish(0) == [Measurement({"size": 9})]
    assert decoder.skipped == 4


def test_bytes_between_frames_are_counted() -> None:
    decoder = FrameDecoder(COUNTED, length_of)
    decoder.feed(b"noise" + counted(b"abc") + b"more", 0)

    assert decoder.skipped == 9


def test_the_begun_sync_at_the_end_of_a_chunk_is_kept() -> None:
    decoder = FrameDecoder(COUNTED, length_of)
    good = counted(b"abc")

    assert decoder.feed(b"xx" + good[:1], 0) == []
    assert decoder.feed(good[1:], 0) == [Measurement({"size": 9})]
    assert decoder.skipped == 2


def test_the_time_since_opening_reaches_the_reader() -> None:
    decoder = FrameDecoder(COUNTED, lambda frame, at_s: Measurement({"at": at_s}))

    assert decoder.feed(counted(b"abc"), 12.5) == [Measurement({"at": 12.5})]


def shouted(line: str, at_s: float) -> Measurement | None:
    if line.startswith("#"):
        return None
    if line.startswith("!"):
        raise FrameError("checksum")
    return Measurement({"line": line.upper()})


def test_lines_end_with_cr_lf_or_both() -> None:
    decoder = LineDecoder(shouted)

    found = decoder.feed(b"a\rb\nc\r\n\r\nd", 0)

    assert found == [Measurement({"line": letter}) for letter in "ABC"]
    assert decoder.finish(0) == [Measurement({"line": "D"})]


def test_a_byte_above_127_is_one_character() -> None:
    assert LineDecoder(lambda line, at_s: Measurement({"line": line})).feed(b"1\xc4\n", 0) == [
        Measurement({"line": "1\u00c4"})
    ]


def test_a_refused_line_is_rejected_and_a_status_line_only_counted() -> None:
    decoder = LineDecoder(shouted)

    assert decoder.feed(b"!no\n#hello\n", 0) == [Rejected("checksum")]
    assert decoder.skipped == len("#hello")


def test_a_line_that_is_too_long_is_passed_over_and_the_next_is_read() -> None:
    decoder = LineDecoder(shouted, max_length=8)

    assert decoder.feed(b"123456789", 0) == []
    assert decoder.feed(b"tail\nok\n", 0) == [Measurement({"line": "OK"})]
    assert decoder.feed(b"123456789\nok\n", 0) == [Measurement({"line": "OK"})]
