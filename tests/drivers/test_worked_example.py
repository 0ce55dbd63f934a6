"""docs/drivers.md promises that its examples work."""

import re
import tomllib
from pathlib import Path

from agent.config.io.catalog import Catalog
from drivers.sdk.bus import ModbusDriver
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import LineSettings, Measurement, SerialDriver
from drivers.sdk.profiles.columns import TYPES
from drivers.sdk.profiles.modbus import TYPES as REGISTER_TYPES
from drivers.sdk.profiles.profile import KINDS, parse_profile
from drivers.sim.encode import encode
from tests.support.generic_drivers import built

PAGE = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()
TANK, BOILER, NODE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_profile_in_the_documentation_reads_the_frame_beside_it() -> None:
    profile = parse_profile(TANK.encode(), "tank.toml")
    (frame,) = re.findall(r'echo "([0-9A-F ]+)"', PAGE)
    decoder = profile.driver.decoder({})

    assert isinstance(profile.driver, SerialDriver)
    assert profile.driver.line == LineSettings(4800, "E")
    assert decoder.feed(bytes.fromhex(frame), 0) == [Measurement({"level": 300, "temp": -1})]
    assert profile.examples[0].raw == bytes.fromhex(frame)
    assert decoder.feed(encode(profile, {"level": 0}), 30) == [
        Measurement({"level": 0, "temp": 28}, {"level": "uncertain:warmup"})
    ]


def test_the_profile_of_a_modbus_device_reads_its_example_and_its_simulator() -> None:
    profile = parse_profile(BOILER.encode(), "boiler.toml")
    decoder = profile.driver.decoder({})
    (example,) = profile.examples

    assert isinstance(profile.driver, ModbusDriver)
    assert [*decoder.feed(example.raw, 0), *decoder.finish(0)] == [Measurement(example.expect)]
    assert decoder.feed(encode(profile, {}), 0) == [Measurement(profile.sim.values)]


def test_the_sensor_with_its_own_table_reads_a_line() -> None:
    (sensor,) = tomllib.loads(NODE)["sensor"]
    driver = Catalog().get(sensor["driver"])
    own = built(driver, {key: sensor[key] for key in driver.table_keys if key in sensor})

    assert own.decoder({}).feed(b"21.5,63\n", 0) == [Measurement({"temp": 21.5, "rh": 63})]


def test_every_sum_kind_and_type_is_documented() -> None:
    assert all(f'"{name}"' in PAGE for name in (*CHECKSUMS, *KINDS, *TYPES, *REGISTER_TYPES))
    assert set(re.findall(r"\b[uif]\d+(?:[lb]e)?\b", PAGE)) <= set(TYPES) | set(REGISTER_TYPES)
