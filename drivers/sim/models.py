"""Models for simulated devices: from a profile, or from an encoder of their own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import drivers.profiles
from drivers.sdk.bus import ModbusDriver
from drivers.sdk.contract import Driver, LineSettings, SerialDriver, Value
from drivers.sdk.profiles.profile import Profile, parse_profile
from drivers.sim.encode import encode
from drivers.sim.encoders import ENCODERS

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Model:
    """A device to simulate: its line, its typical values, and how values are encoded."""

    name: str
    line: LineSettings
    period_s: float
    typical: Values
    encode: Callable[[Values], bytes]
    request: bytes = b""


def model(name: str) -> Model:
    """Return the model of a shipped profile or driver. Raises LookupError for any other name."""
    if name in ENCODERS:
        typical, encode_values = ENCODERS[name]
        driver = import_module(f"drivers.{name}").DRIVER
        return _build_model(driver, typical, lambda values: encode_values({**typical, **values}))
    return model_of(shipped_profile(name))


def shipped_profile(name: str) -> Profile:
    """Return a complete shipped profile. Raises LookupError if there is none of this name."""
    file = Path(next(iter(drivers.profiles.__path__))) / f"{name}.toml"
    if not file.is_file():
        raise LookupError(f"there is no simulator for {name}")
    return parse_profile(file.read_bytes(), str(file))


def model_of(profile: Profile) -> Model:
    """Return the model of a given profile."""
    return _build_model(profile.driver, profile.sim.values, lambda values: encode(profile, values))


def _build_model(driver: Driver, typical: Values, encode_values: Callable[[Values], bytes]) -> Model:
    period_s = driver.period_s or 1.0
    if driver.presence is not None:  # such a device repeats faster than its visitors leave
        period_s = min(period_s, driver.presence.gone_s / 4)
    if isinstance(driver, SerialDriver):
        return Model(driver.name, driver.line, period_s, typical, encode_values, driver.request)
    line = driver.line if isinstance(driver, ModbusDriver) else LineSettings()
    return Model(driver.name, line, period_s, typical, encode_values)


def waving(typical: Values, *, share: float = 0.2, every: int = 60) -> Callable[[int], Values]:
    """Return values for frame number n: numbers oscillate around the typical ones, once in ``every`` frames."""

    def values(number: int) -> Values:
        swing = 1 + share * math.sin(2 * math.pi * number / every)
        return {
            name: value * swing if isinstance(value, (int, float)) and not isinstance(value, bool) else value
            for name, value in typical.items()
        }

    return values
