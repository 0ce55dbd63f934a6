"""Every recorded frame means what its source says, in any chunking, beside noise, and never anything wrong."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sdk.bus import ModbusDriver
from drivers.sdk.contract import SerialDriver
from drivers.sdk.gpio import GpioDriver
from drivers.sdk.profiles.frames import FrameSpec
from drivers.sdk.profiles.line_decoding import LineSpec
from tests.drivers.recorded_frames import (
    GOOD,
    JUST_OPENED_S,
    PROFILES,
    ROWS,
    TEXTS,
    Row,
    decode,
    printed,
)

ALWAYS_CHECKED = {"nmea0183", "ds18b20", "mlx90614", "sps30", "pn532", "rdm6300", "sht3x", "sht4x", "scd4x", "scd30"}
CHECKED = [
    row
    for row in GOOD
    if row.driver.name in ALWAYS_CHECKED
    or isinstance(row.driver, ModbusDriver)
    or (isinstance(spec := getattr(PROFILES.get(row.driver.name), "spec", None), FrameSpec) and spec.frame.check)
]
STREAMED = [row for row in GOOD if isinstance(row.driver, SerialDriver)]
BESIDE_NOISE = [row for row in STREAMED if row.name != "TOL-1"]
"""Without TOL-1: a byte behind its frame is a checksum, for all that anybody can tell."""
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_good_row = pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
every_checked_row = pytest.mark.parametrize("row", CHECKED, ids=lambda row: row.name)
every_serial_row = pytest.mark.parametrize("row", STREAMED, ids=lambda row: row.name)
every_serial_row_beside_noise = pytest.mark.parametrize("row", BESIDE_NOISE, ids=lambda row: row.name)


def line_ended(row: Row) -> bytes:
    """The row's bytes with the line end that a device sends and a recorded text may lack."""
    profile = PROFILES.get(row.driver.name)
    is_text = row.driver.name in TEXTS or (profile is not None and isinstance(profile.spec, LineSpec))
    return row.raw.rstrip() + b"\r\n" if is_text else row.raw


@every_row
def test_a_recorded_frame_means_what_its_source_says(row: Row) -> None:
    assert decode(row.driver, row.raw) == row.expect


@every_row
def test_a_recorded_frame_fed_byte_by_byte_means_the_same(row: Row) -> None:
    assert decode(row.driver, *(bytes([byte]) for byte in row.raw)) == row.expect


@every_row
@given(content=st.data())
@settings(max_examples=25)
def test_any_chunking_gives_equal_items_and_equal_counts(row: Row, content: st.DataObject) -> None:
    garbage = content.draw(st.binary(max_size=40))
    stream = garbage + line_ended(row) + garbage + line_ended(row)
    cuts = sorted(content.draw(st.sets(st.integers(0, len(stream)), max_size=12)) | {0, len(stream)})
    chunks = [stream[start:end] for start, end in pairwise(cuts)]
    whole, pieces = row.driver.decoder({}), row.driver.decoder({})

    expected = whole.feed(stream, JUST_OPENED_S) + whole.finish(JUST_OPENED_S)
    found = [item for chunk in chunks for item in pieces.feed(chunk, JUST_OPENED_S)]
    found += pieces.finish(JUST_OPENED_S)

    assert found == expected
    assert pieces.skipped == whole.skipped


@every_serial_row
@given(garbage=st.binary(max_size=64))
@settings(max_examples=50)
def test_after_any_garbage_a_good_frame_is_read_again(row: Row, garbage: bytes) -> None:
    assert decode(row.driver, garbage + line_ended(row) * 3)[-1] == row.expect[-1]


@every_serial_row_beside_noise
@given(noise=st.binary(max_size=64).map(lambda noise: bytes(byte % 32 + 0x80 for byte in noise)))
@settings(max_examples=25)
def test_noise_around_frames_costs_none_of_them(row: Row, noise: bytes) -> None:
    assert decode(row.driver, noise + line_ended(row) + noise + line_ended(row)) == row.expect * 2


@every_good_row
@given(garbage=st.binary(max_size=200))
@settings(max_examples=25)
def test_once_the_line_was_quiet_nothing_of_before_is_left(row: Row, garbage: bytes) -> None:
    decoder = row.driver.decoder({})
    decoder.feed(garbage, JUST_OPENED_S)
    decoder.finish(JUST_OPENED_S)

    items = decoder.feed(row.raw, JUST_OPENED_S) + decoder.finish(JUST_OPENED_S)

    assert printed(row.driver, items) == row.expect


@every_serial_row
def test_a_good_frame_hidden_behind_a_broken_one_is_found(row: Row) -> None:
    for length in range(1, len(row.raw)):
        assert row.expect[0] in decode(row.driver, row.raw[:length] + b"\n" + line_ended(row))


@every_checked_row
def test_a_flipped_bit_never_gives_a_wrong_value(row: Row) -> None:
    for at in range(len(row.raw)):
        for bit in range(8):
            broken = bytearray(row.raw)
            broken[at] ^= 1 << bit
            wrong = [item for item in decode(row.driver, bytes(broken)) if "fields" in item and item not in row.expect]
            assert not wrong, f"byte {at}, bit {bit}"


@every_checked_row
def test_a_frame_cut_short_gives_no_value(row: Row) -> None:
    for length in range(len(row.raw)):
        assert not [item for item in decode(row.driver, row.raw[:length]) if "fields" in item]


@pytest.mark.parametrize(
    "row", [row for row in GOOD if not isinstance(row.driver, GpioDriver)], ids=lambda row: row.name
)
def test_nothing_is_said_before_a_frame_is_whole(row: Row) -> None:
    raw = line_ended(row)
    last = len(raw) - (2 if raw.endswith(b"\r\n") else 1)
    decoder = row.driver.decoder({})

    assert decoder.feed(raw[:last], JUST_OPENED_S) == []
    assert decoder.skipped == 0
