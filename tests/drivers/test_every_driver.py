"""One suite over every shipped driver: its recorded frames, its page, its simulator."""

import json
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from agent.core.quality import assess
from agent.edges.catalog import Catalog
from drivers.sdk.contract import REASONS, Driver, Item, Measurement, Rejected, SerialDriver
from drivers.sdk.profile import Profile, read_profile
from drivers.sdk.profile_frame import FrameSpec
from drivers.sdk.units import UNITS
from drivers.sim.models import model

CATALOG = Catalog(local=Path("no-such-directory"))
NAMES = CATALOG.names()
FRAMES = Path(__file__).parents[1] / "data" / "frames.jsonl"
PROFILE_FILES = sorted((Path(drivers.__file__).parent / "profiles").glob("*.toml"))
PROFILES = {file.stem: read_profile(file.read_bytes(), file.name) for file in PROFILE_FILES}
JUST_OPENED_S = 0.0


@dataclass(frozen=True)
class Row:
    """What a device sent and what it means, as ``gardu decode`` prints it."""

    name: str
    driver: Driver
    raw: bytes
    expect: list[dict[str, object]]


def recorded_rows() -> list[Row]:
    rows = []
    for line in FRAMES.read_text().splitlines():
        row = json.loads(line)
        raw = bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode("latin-1")
        rows.append(Row(row["id"], CATALOG.get(row["driver"]), raw, row["expect"]))
    return rows


ROWS = recorded_rows()
GOOD = [row for row in ROWS if row.expect and "fields" in row.expect[0]]
CHECKED = [
    row
    for row in GOOD
    if row.driver.name == "nmea0183"
    or (isinstance(spec := getattr(PROFILES.get(row.driver.name), "spec", None), FrameSpec) and spec.frame.check)
]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_good_row = pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
every_checked_row = pytest.mark.parametrize("row", CHECKED, ids=lambda row: row.name)
every_serial_row = pytest.mark.parametrize(
    "row", [row for row in GOOD if isinstance(row.driver, SerialDriver)], ids=lambda row: row.name
)
every_name = pytest.mark.parametrize("name", NAMES)
every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def printed(driver: Driver, items: list[Item]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for item in items:
        if isinstance(item, Rejected):
            assert item.reason in REASONS
            found.append({"rejected": item.reason})
        else:
            good = assess(item, driver.fields)
            found.append({"fields": dict(good.values), "q": dict(good.q)})
    return found


def decode(driver: Driver, *chunks: bytes) -> list[dict[str, object]]:
    decoder = driver.decoder({})
    items = [item for chunk in chunks for item in decoder.feed(chunk, JUST_OPENED_S)]
    return printed(driver, items + decoder.finish(JUST_OPENED_S))


def line_ended(row: Row) -> bytes:
    """The row's bytes with the line end that a device sends and a recorded text may lack."""
    is_text = row.driver.name not in PROFILES or not isinstance(PROFILES[row.driver.name].spec, FrameSpec)
    return row.raw.rstrip() + b"\r\n" if is_text else row.raw


@every_row
def test_a_recorded_frame_means_what_its_source_says(row: Row) -> None:
    assert decode(row.driver, row.raw) == row.expect


@every_row
def test_a_recorded_frame_fed_byte_by_byte_means_the_same(row: Row) -> None:
    assert decode(row.driver, *(bytes([byte]) for byte in row.raw)) == row.expect


@every_row
@given(content=st.data())
@settings(max_examples=25, deadline=None)
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
@settings(max_examples=50, deadline=None)
def test_after_any_garbage_a_good_frame_is_read_again(row: Row, garbage: bytes) -> None:
    assert decode(row.driver, garbage + line_ended(row) * 3)[-1] == row.expect[-1]


@every_serial_row
@given(noise=st.binary(max_size=64).map(lambda noise: bytes(byte % 32 + 0x80 for byte in noise)))
@settings(max_examples=25, deadline=None)
def test_noise_around_frames_costs_none_of_them(row: Row, noise: bytes) -> None:
    assert decode(row.driver, noise + line_ended(row) + noise + line_ended(row)) == row.expect * 2


@every_good_row
@given(garbage=st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
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


@every_good_row
def test_nothing_is_said_before_a_frame_is_whole(row: Row) -> None:
    raw = line_ended(row)
    last = len(raw) - (2 if raw.endswith(b"\r\n") else 1)
    decoder = row.driver.decoder({})

    assert decoder.feed(raw[:last], JUST_OPENED_S) == []
    assert decoder.skipped == 0


@every_name
def test_an_endless_frame_or_line_is_not_kept(name: str) -> None:
    for byte in (b"x", b"\xff", b"\xaa", b"\x42"):
        decoder = CATALOG.get(name).decoder({})
        for _ in range(256):
            decoder.feed(byte * 256, JUST_OPENED_S)
        assert 256 * 256 - decoder.skipped <= 1024


@every_name
def test_a_driver_declares_itself_whole(name: str) -> None:
    driver = CATALOG.get(name)
    assert driver.name == name
    assert driver.title
    assert driver.source
    assert driver.period_s > 0
    assert driver.page.about
    assert driver.page.wiring
    assert driver.page.pitfalls
    assert driver.fields


@every_name
def test_every_unit_is_registered(name: str) -> None:
    for field in CATALOG.get(name).fields.values():
        assert field.unit in UNITS


@every_name
def test_the_example_on_its_page_is_a_sensor_of_this_driver(name: str) -> None:
    example = tomllib.loads(CATALOG.get(name).page.example)
    assert [sensor["driver"] for sensor in example["sensor"]] == [name]
    assert ("port" in example["sensor"][0]) == isinstance(CATALOG.get(name), SerialDriver)


@every_name
def test_only_profiles_run_on_the_loop(name: str) -> None:
    assert CATALOG.get(name).inline == (name in PROFILES)


@every_profile
def test_the_examples_of_a_profile_hold(profile: Profile) -> None:
    assert profile.examples
    for example in profile.examples:
        decoder = profile.driver.decoder({})
        items = decoder.feed(example.raw, JUST_OPENED_S) + decoder.finish(JUST_OPENED_S)
        if example.reject:
            assert items == [Rejected(example.reject)]
            continue
        measurements = [item for item in items if isinstance(item, Measurement)]
        assert len(measurements) == len(items) == (1 if example.expect or example.q else 0)
        for measurement in measurements:
            bad = {name: None for name, doubt in example.q.items() if doubt.startswith("bad:")}
            expected = {**example.expect, **bad}
            assert {name: measurement.values[name] for name in expected} == expected
            assert {name: doubt for name, doubt in measurement.q.items() if name in example.q} == example.q
            assert bool(measurement.q) == bool(example.q)


@pytest.mark.parametrize("name", [*PROFILES, "nmea0183"])
@given(share=st.floats(0.3, 1.5))
@settings(max_examples=25, deadline=None)
def test_what_the_simulator_sends_is_what_the_decoder_reads(name: str, share: float) -> None:
    driver, device = CATALOG.get(name), model(name)
    sent = {
        key: value * share if isinstance(value, (int, float)) and not isinstance(value, bool) else value
        for key, value in device.typical.items()
    }

    (found,) = decode(driver, device.encode(sent))

    assert found["q"] == {}
    for key, value in sent.items():
        read = found["fields"][key]  # type: ignore[index]
        if isinstance(value, float):
            step = driver.fields[key].resolution or 0.01
            assert read == pytest.approx(value, abs=max(step, 0.011))
        else:
            assert read == value
