"""Bosch BME280 temperature, humidity and pressure sensors, and the BMP280, which is often sold as one.

Source: Bosch Sensortec, BME280 data sheet BST-BME280-DS002 rev 1.6, 4.2.2 (calibration), 5.4 (registers), 8.1
(floating-point formulas); BMP280 data sheet BST-BMP280-DS001 rev 1.14, 3.12 (a worked example).

Raw form: the chip's id (D0), 33 bytes of calibration (88 to A1, E1 to E7; zeros for those that a BMP280 lacks), eight
bytes of values (F7 to FE).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.sdk.bus import I2cDevice, I2cDriver, I2cPort
from drivers.sdk.contract import NOTHING_DOUBTED, Decoder, Field, Measurement, Options, Page, Value
from drivers.sdk.framing import BlockDecoder, FrameError

BME280, BMP280 = 0x60, 0x58
_IDS = (BME280, BMP280, 0x56, 0x57)
"""0x56 and 0x57 are samples of the BMP280."""
_REGISTER_ID, _REGISTER_FIRST, _REGISTER_HUMIDITY = b"\xd0", b"\x88", b"\xe1"
_REGISTER_STATUS, _REGISTER_VALUES = b"\xf3", b"\xf7"
_HUMIDITY_ONCE = b"\xf2\x01"
_MEASURE_ONCE = b"\xf4\x25"
"""One measurement of temperature and pressure in forced mode; this write also activates the humidity setting."""
_MEASURING = 0x08
_FIRST_BYTES, _HUMIDITY_BYTES, _VALUE_BYTES = 26, 7, 8
_BLOCK_BYTES = 1 + _FIRST_BYTES + _HUMIDITY_BYTES + _VALUE_BYTES
_NO_HUMIDITY = b"\x80\x00"
_SKIPPED_20, _SKIPPED_16 = 0x80000, 0x8000
_FROZEN_AFTER = 60
"""This many equal answers: the lowest bits of a working sensor never stay constant for so long."""
_PA_PER_HPA = 100
_COEFFICIENTS = struct.Struct("<HhhHhhhhhhhhxB")
_ANSWER_S, _TRIES = 0.01, 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """The coefficients dig_T1 to dig_H6 of one chip; ``h`` is None on a BMP280."""

    t: tuple[int, ...]
    p: tuple[int, ...]
    h: tuple[int, ...] | None

    @classmethod
    def from_bytes(cls, raw: bytes, chip: int) -> "Calibration":
        """Decode 33 bytes. Raises FrameError for values that no chip has."""
        first = _COEFFICIENTS.unpack(raw[:_FIRST_BYTES])
        if first[0] in (0, 0xFFFF) or first[3] in (0, 0xFFFF):
            raise FrameError("format")
        if chip != BME280:
            return cls(first[:3], first[3:12], None)
        h2, h3, e4, e5, e6, h6 = struct.unpack("<hBbBbb", raw[_FIRST_BYTES:])
        return cls(first[:3], first[3:12], (first[12], h2, h3, e4 * 16 + (e5 & 0x0F), e6 * 16 + (e5 >> 4), h6))

    def fine(self, raw: int) -> float:
        """Return the fine temperature, an input of the other two channels."""
        t1, t2, t3 = self.t
        part = (raw / 16384 - t1 / 1024) * t2
        return part + (raw / 131072 - t1 / 8192) ** 2 * t3

    def pressure(self, raw: int, fine: float) -> float | None:
        """Return the pressure in Pa; None if the coefficients allow none."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.p
        half = fine / 2 - 64000
        offset = (half * half * p6 / 32768 + half * p5 * 2) / 4 + p4 * 65536
        slope = (1 + (p3 * half * half / 524288 + p2 * half) / 524288 / 32768) * p1
        if slope == 0:
            return None
        pressure = (1048576 - raw - offset / 4096) * 6250 / slope
        return pressure + (p9 * pressure * pressure / 2147483648 + pressure * p8 / 32768 + p7) / 16

    def humidity(self, raw: int, fine: float) -> float:
        """Return the relative humidity in %, clamped as in Bosch's code."""
        assert self.h is not None
        h1, h2, h3, h4, h5, h6 = self.h
        rest = fine - 76800
        bent = raw - (h4 * 64 + h5 / 16384 * rest)
        bent *= h2 / 65536 * (1 + h6 / 67108864 * rest * (1 + h3 / 67108864 * rest))
        return min(max(bent * (1 - h1 * bent / 524288), 0.0), 100.0)


def decode(block: bytes, at_s: float) -> Measurement:
    """Decode a raw answer; ``rh`` is absent on a BMP280. Raises FrameError."""
    if block[0] not in _IDS:
        raise FrameError("format")
    calibration = Calibration.from_bytes(block[1 : 1 + _FIRST_BYTES + _HUMIDITY_BYTES], block[0])
    raw = block[-_VALUE_BYTES:]
    pressure, temperature = (int.from_bytes(raw[at : at + 3], "big") >> 4 for at in (0, 3))
    humidity = int.from_bytes(raw[6:], "big")
    names = ("temp", "rh", "pressure") if calibration.h is not None else ("temp", "pressure")
    if temperature == _SKIPPED_20:
        return Measurement(dict.fromkeys(names), dict.fromkeys(names, "bad:unset"))
    fine = calibration.fine(temperature)
    values: dict[str, Value] = {"temp": fine / 5120}
    doubts: dict[str, str] = {}
    if calibration.h is not None:
        values["rh"] = None if humidity == _SKIPPED_16 else calibration.humidity(humidity, fine)
        if humidity == _SKIPPED_16:
            doubts["rh"] = "bad:unset"
    pascal = None if pressure == _SKIPPED_20 else calibration.pressure(pressure, fine)
    values["pressure"] = None if pascal is None else pascal / _PA_PER_HPA
    if pascal is None:
        doubts["pressure"] = "bad:unset" if pressure == _SKIPPED_20 else "bad:device"
    return Measurement(values, doubts or NOTHING_DOUBTED)


class _FrozenCheck:
    """Marks values that have stayed constant for too long: the chip has lost its power and its settings."""

    def __init__(self) -> None:
        self._last = b""
        self._times = 0

    def decode(self, block: bytes, at_s: float) -> Measurement:
        self._times = self._times + 1 if block == self._last else 1
        self._last = block
        measurement = decode(block, at_s)
        if self._times < _FROZEN_AFTER:
            return measurement
        return Measurement(
            measurement.values, dict.fromkeys(measurement.values, "uncertain:frozen") | dict(measurement.q)
        )


def join(parts: Sequence[bytes]) -> bytes:
    """Return the raw form of calibration (88 to A1, then E1 to E7; for a BMP280 88 to 9F or A1) and values (F7 on).

    Raises ValueError for parts of another size.
    """
    if len(parts) != 2:
        raise ValueError("expected two parts: the calibration, then the values F7 to FE")
    calibration, values = parts
    sizes = {24: b"\x00\x00", 26: b"", 33: b""}
    if len(calibration) == 32:  # without A0, which is unused
        calibration = calibration[:24] + b"\x00" + calibration[24:]
    if len(calibration) not in sizes or len(values) not in (6, _VALUE_BYTES):
        raise ValueError("the calibration has 33 bytes (88 to A1, E1 to E7), the values 8 (F7 to FE)")
    calibration += sizes[len(calibration)]
    humidity = calibration[_FIRST_BYTES:]
    chip = BME280 if any(humidity) and humidity != b"\xff" * _HUMIDITY_BYTES else BMP280
    return _raw(chip, calibration, values)


def _raw(chip: int, calibration: bytes, values: bytes) -> bytes:
    padded = calibration.ljust(_FIRST_BYTES + _HUMIDITY_BYTES, b"\x00")
    return bytes((chip,)) + padded + (values + _NO_HUMIDITY)[:_VALUE_BYTES]


class Chip:
    """One device, measured once for each reading."""

    def __init__(self, port: I2cPort, address: int) -> None:
        self._port = port
        self._address = address
        self._id = 0
        self._calibration = b""

    def start(self) -> None:
        """Read the chip's id and its calibration. Raises OSError for another chip."""
        self._id = self._register(_REGISTER_ID, 1)[0]
        if self._id not in _IDS:
            raise OSError(f"not a BME280 or BMP280: its id is 0x{self._id:02x}")
        self._calibration = self._register(_REGISTER_FIRST, _FIRST_BYTES)
        if self._id == BME280:
            self._calibration += self._register(_REGISTER_HUMIDITY, _HUMIDITY_BYTES)

    def read(self) -> bytes:
        if self._id == BME280:
            self._port.write(self._address, _HUMIDITY_ONCE)
        self._port.write(self._address, _MEASURE_ONCE)
        for _ in range(_TRIES):
            self._port.pause(_ANSWER_S)
            if not self._register(_REGISTER_STATUS, 1)[0] & _MEASURING:
                break
        count = _VALUE_BYTES if self._id == BME280 else _VALUE_BYTES - len(_NO_HUMIDITY)
        return _raw(self._id, self._calibration, self._register(_REGISTER_VALUES, count))

    def _register(self, register: bytes, count: int) -> bytes:
        return self._port.write_read(self._address, register, count)


def _decoder(options: Options) -> Decoder:
    return BlockDecoder(_BLOCK_BYTES, _FrozenCheck().decode)


def _open(port: I2cPort, address: int, options: Options) -> I2cDevice:
    return Chip(port, address)


DRIVER = I2cDriver(
    name="bme280",
    title="Bosch BME280 temperature, humidity and pressure sensor (and BMP280, without humidity)",
    source="Bosch Sensortec, BME280 data sheet rev 1.6, 4.2.2, 5.4, 8.1; BMP280 data sheet rev 1.14, 3.12",
    fields={
        "temp": Field("Cel", resolution=0.01, min=-40, max=85),
        "rh": Field("%RH", resolution=0.01, min=0, max=100),
        "pressure": Field("hPa", resolution=0.01, min=300, max=1100),
    },
    period_s=10.0,
    decoder=_decoder,
    inline=True,
    open=_open,
    address=0x76,
    addresses=(0x76, 0x77),
    join=join,
    page=Page(
        about="Measures air temperature, relative humidity and air pressure (at its own height, not at sea level).",
        wiring="3.3 V, GND, SDA and SCL of the gateway's I2C bus. Address 0x76, or 0x77 with SDO at VDD.",
        pitfalls=(
            "Cheap boards sold as BME280 often carry a BMP280: it has no rh. Look at the chip: a square one\n"
            "    with a hole is a BME280, an oblong one a BMP280.",
            "The regulator and the 5 V level converters on a board warm the sensor by a degree or two.",
            "Values that do not change for 60 readings are marked uncertain:frozen.",
            "gardu decode expects [calibration, values] as two hexadecimal strings: registers 88 to A1 with E1 to E7,\n"
            "    and F7 to FE.",
        ),
        example='[[sensor]]\nid = "room-1"\ndriver = "bme280"\ni2c_bus = 1\naddress = 0x76\ninterval_s = 30\n',
    ),
)
