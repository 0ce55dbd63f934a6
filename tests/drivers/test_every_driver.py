"""One suite over every shipped driver: its recorded frames, its page, its simulator."""

import ast
import dataclasses
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from agent.config.settings import Sensor
from drivers.sdk.bus import I2cDriver, ModbusDriver, W1Driver
from drivers.sdk.contract import Driver, Field, Measurement, Rejected, SerialDriver, Value
from drivers.sdk.gpio import GpioDriver
from drivers.sdk.profiles.profile import Profile
from drivers.sdk.units import UNITS
from drivers.sim.models import model
from tests.drivers.recorded_frames import (
    CATALOG,
    GENERIC,
    JUST_OPENED_S,
    NAMES,
    PROFILES,
    SIMULATED,
    WARM_S,
    decode,
)
from tests.support.generic_drivers import built

every_name = pytest.mark.parametrize("name", NAMES)
every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


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
@settings(max_examples=25)
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
@settings(max_examples=10)
def test_what_the_simulator_sends_means_the_same_in_any_chunking(name: str, content: st.DataObject) -> None:
    driver, device = CATALOG.get(name), model(name)
    raw = device.encode({})
    cuts = sorted(content.draw(st.sets(st.integers(0, len(raw)), max_size=12)) | {0, len(raw)})

    assert decode(driver, *(raw[start:end] for start, end in pairwise(cuts))) == decode(driver, raw)


@pytest.mark.parametrize("name", SIMULATED)
@given(garbage=st.binary(max_size=200))
@settings(max_examples=25)
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
