"""One suite over every shipped driver: its recorded frames, its page, its simulator."""

import ast
import dataclasses
import json
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from agent.config.io.catalog import Catalog
from agent.config.settings import Sensor
from agent.sensing.quality import assess
from drivers.sdk.bus import I2cDriver, ModbusDriver, W1Driver
from drivers.sdk.contract import REASONS, Driver, Field, Item, Measurement, Rejected, SerialDriver, Value
from drivers.sdk.gpio import GpioDriver
from drivers.sdk.profiles.frames import FrameSpec
from drivers.sdk.profiles.line_decoding import LineSpec
from drivers.sdk.profiles.profile import Profile, parse_profile
from drivers.sdk.units import UNITS
from drivers.sim.models import model
from tests.support.generic_drivers import built

CATALOG = Catalog(local=Path("no-such-directory"))
NAMES = CATALOG.names()
FRAMES = Path(__file__).parents[1] / "data" / "frames.jsonl"
PROFILE_FILES = sorted((Path(drivers.__file__).parent / "profiles").glob("*.toml"))
PROFILES = {file.stem: parse_profile(file.read_bytes(), file.name) for file in PROFILE_FILES}
JUST_OPENED_S = 0.0
WARM_S = 1000.0


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
TEXTS = {"nmea0183", "system", "ds18b20"}
GENERIC = {name for name in NAMES if CATALOG.get(name).table is not None and not CATALOG.get(name).fields}
SIMULATED = sorted(set(NAMES) - GENERIC)
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
every_good_row = pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
every_checked_row = pytest.mark.parametrize("row", CHECKED, ids=lambda row: row.name)
every_serial_row = pytest.mark.parametrize("row", STREAMED, ids=lambda row: row.name)
every_serial_row_beside_noise = pytest.mark.parametrize("row", BESIDE_NOISE, ids=lambda row: row.name)
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


def decode(driver: Driver, *chunks: bytes, at_s: float = JUST_OPENED_S) -> list[dict[str, object]]:
    decoder = driver.decoder({})
    items = [item for chunk in chunks for item in decoder.feed(chunk, at_s)]
    return printed(driver, items + decoder.finish(at_s))


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


@every_serial_row_beside_noise
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


@pytest.mark.parametrize(
    "row", [row for row in GOOD if not isinstance(row.driver, GpioDriver)], ids=lambda row: row.name
)
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
    assert driver.period_s >= 0
    assert driver.page.about
    assert driver.page.wiring
    assert driver.page.pitfalls
    assert bool(driver.fields) != (name in GENERIC)


@every_name
def test_every_unit_is_registered(name: str) -> None:
    for field in CATALOG.get(name).fields.values():
        assert field.unit in UNITS


def place_of(driver: Driver) -> set[str]:
    """The keys of ``[[sensor]]`` by which a driver's device is found: one of these sets of them."""
    if isinstance(driver, SerialDriver):
        return {"port"}
    if isinstance(driver, I2cDriver):
        return {"i2c_bus"}
    if isinstance(driver, W1Driver):
        return {"w1"}
    if isinstance(driver, GpioDriver):
        return {"chip"} | ({"line"} if driver.lines == ("line",) else {f"line_{role}" for role in driver.lines})
    return set()


PLACES = {"port", "bus", "i2c_bus", "address", "w1", "chip", "line", "unit"}


@every_name
def test_the_example_on_its_page_is_a_sensor_of_this_driver(name: str) -> None:
    driver = CATALOG.get(name)
    (sensor,) = tomllib.loads(driver.page.example)["sensor"]
    assert sensor["driver"] == name
    known = {field.name for field in dataclasses.fields(Sensor)} | {*driver.options, *driver.table_keys}
    assert sensor.keys() <= known
    assert place_of(driver) <= sensor.keys()
    if isinstance(driver, ModbusDriver):
        assert {"port", "bus"} & sensor.keys()
    else:
        assert sensor.keys() & PLACES <= place_of(driver) | {"address"}
    assert {key for key, option in driver.options.items() if option.required} <= sensor.keys()


@every_name
def test_the_tables_on_its_page_make_a_driver(name: str) -> None:
    driver = CATALOG.get(name)
    (sensor,) = tomllib.loads(driver.page.example)["sensor"]
    if driver.table is None:
        assert driver.table_keys == ()
        return
    own = built(driver, {key: sensor[key] for key in driver.table_keys if key in sensor})
    assert own.table is None
    assert own.fields
    assert own.inline
    assert all(field.unit in UNITS for field in own.fields.values())
    assert own.decoder({}).feed(bytes(range(256)), JUST_OPENED_S) is not None


@every_name
def test_the_roles_of_several_lines_are_its_options(name: str) -> None:
    driver = CATALOG.get(name)
    if isinstance(driver, GpioDriver) and driver.lines != ("line",):
        assert all(driver.options[f"line_{role}"].type == "line" for role in driver.lines)


@every_name
def test_a_number_of_a_card_or_a_code_is_declared_as_an_identifier(name: str) -> None:
    identifiers = {key for key, field in CATALOG.get(name).fields.items() if field.identifier}
    expected = {"rdm6300": {"tag"}, "wiegand": {"facility", "card"}, "pn532": {"uid"}, "barcode": {"code"}}
    assert identifiers == expected.get(name, set())


@every_name
def test_what_runs_on_the_loop_says_so_and_is_the_project_s_own(name: str) -> None:
    assert CATALOG.get(name).inline == (name not in {"nmea0183", "system"} | GENERIC)


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
            assert {name: measurement.values[name] for name in expected} == pytest.approx(expected, abs=0.001)
            assert {name: doubt for name, doubt in measurement.q.items() if name in example.q} == example.q
            assert bool(measurement.q) == bool(example.q)


@pytest.mark.parametrize("name", SIMULATED)
@given(share=st.floats(0.3, 1.5))
@settings(max_examples=25, deadline=None)
def test_what_the_simulator_sends_is_what_the_decoder_reads(name: str, share: float) -> None:
    driver, device = CATALOG.get(name), model(name)
    sent = {key: _share_of(value, share, driver.fields[key]) for key, value in device.typical.items()}

    (found,) = decode(driver, device.encode(sent), at_s=WARM_S)

    assert found["q"] == {}
    for key, value in sent.items():
        read = found["fields"][key]  # type: ignore[index]
        if isinstance(value, float):
            step = driver.fields[key].resolution or 0.01
            assert read == pytest.approx(value, abs=max(step, 0.011))
        else:
            assert read == value


def _share_of(value: Value, share: float, field: Field) -> Value:
    """A part of a measured quantity, within what the device can say; anything else as it is."""
    if isinstance(value, (str, bool)) or value is None or field.kind not in ("gauge", "counter"):
        return value
    low, high = field.min if field.min is not None else -1e9, field.max if field.max is not None else 1e9
    return min(max(value * share, low), high)


@pytest.mark.parametrize("name", SIMULATED)
@given(content=st.data())
@settings(max_examples=10, deadline=None)
def test_what_the_simulator_sends_means_the_same_in_any_chunking(name: str, content: st.DataObject) -> None:
    driver, device = CATALOG.get(name), model(name)
    raw = device.encode({})
    cuts = sorted(content.draw(st.sets(st.integers(0, len(raw)), max_size=12)) | {0, len(raw)})

    assert decode(driver, *(raw[start:end] for start, end in pairwise(cuts))) == decode(driver, raw)


@pytest.mark.parametrize("name", SIMULATED)
@given(garbage=st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
def test_no_garbage_makes_a_decoder_fail(name: str, garbage: bytes) -> None:
    for item in decode(CATALOG.get(name), garbage):
        assert "rejected" in item or "fields" in item


@pytest.mark.parametrize("file", sorted(Path(drivers.__file__).parent.glob("*.py")), ids=lambda file: file.stem)
def test_a_driver_imports_the_kit_and_no_other_driver(file: Path) -> None:
    """Each can be read, shipped and removed alone."""
    imported = {
        name
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    own = {name for name in imported if name.split(".")[0] in ("drivers", "agent")}
    assert {name for name in own if not name.startswith("drivers.sdk")} == set()
