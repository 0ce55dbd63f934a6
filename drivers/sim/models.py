"""What a simulated device needs to know of its original: from its profile, or from here where it has none."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import drivers.profiles
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import LineSettings, SerialDriver, Value
from drivers.sdk.profile import Profile, read_profile
from drivers.sim.encode import encode

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Model:
    """A device to be simulated: how it talks, what it typically says, and how values become its bytes."""

    name: str
    line: LineSettings
    period_s: float
    typical: Values
    encode: Callable[[Values], bytes]
    request: bytes = b""


def model(name: str) -> Model:
    """The model of a shipped profile or of ``nmea0183``. Raises LookupError for any other name."""
    if name == "nmea0183":
        from drivers.nmea0183 import DRIVER

        return _modelled(DRIVER, _POSITION, encode_rmc)
    file = Path(next(iter(drivers.profiles.__path__))) / f"{name}.toml"
    if not file.is_file():
        raise LookupError(f"there is no simulator for {name}")
    return model_of(read_profile(file.read_bytes(), str(file)))


def model_of(profile: Profile) -> Model:
    """The model of a profile at hand."""
    return _modelled(profile.driver, profile.sim.values, lambda values: encode(profile, values))


def _modelled(driver: SerialDriver, typical: Values, encoded: Callable[[Values], bytes]) -> Model:
    return Model(driver.name, driver.line, driver.period_s, typical, encoded, driver.request)


_POSITION: Values = {"lat": -5.1477, "lon": 119.4327, "speed": 6.2, "course": 84.0, "utc": "010203.00"}


def encode_rmc(values: Values) -> bytes:
    """An RMC sentence; without ``lat`` and ``lon`` one of a receiver that has no fix."""
    merged = {**_POSITION, **values}
    fixed = merged["lat"] is not None and merged["lon"] is not None
    words = [
        "GPRMC",
        str(merged["utc"]),
        "A" if fixed else "V",
        *(_angle(merged["lat"], 2, "NS") if fixed else ("", "")),
        *(_angle(merged["lon"], 3, "EW") if fixed else ("", "")),
        f"{_float(merged['speed']) * 3600 / 1852:.3f}" if fixed else "",
        f"{_float(merged['course']):.2f}" if fixed else "",
        "241126,,",
        "A" if fixed else "N",
    ]
    return sentence(",".join(words))


def sentence(body: str) -> bytes:
    """A sentence of NMEA 0183 around its body, with the checksum."""
    return f"${body}*{CHECKSUMS['xor8'].compute(body.encode()):02X}\r\n".encode()


def _float(value: Value) -> float:
    return float(value or 0)


def _angle(value: Value, width: int, sides: str) -> tuple[str, str]:
    degrees, minutes = divmod(round(abs(_float(value)) * 60, 5), 60)
    return f"{int(degrees):0{width}d}{minutes:08.5f}", sides[0] if _float(value) >= 0 else sides[1]


def waving(typical: Values, *, share: float = 0.2, every: int = 60) -> Callable[[int], Values]:
    """Values for frame number n: the numbers swing around the typical ones, once in ``every`` frames."""

    def values(number: int) -> Values:
        swing = 1 + share * math.sin(2 * math.pi * number / every)
        return {
            name: value * swing if isinstance(value, (int, float)) and not isinstance(value, bool) else value
            for name, value in typical.items()
        }

    return values
