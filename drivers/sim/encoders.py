"""The inverse of the decoders of the Python drivers, by driver name."""

import json
import struct
from collections.abc import Callable, Mapping

from drivers import pn532, sps30, toledo
from drivers.bme280 import Calibration, join
from drivers.mlx90614 import pec
from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Value
from drivers.sdk.gpio import Edge
from drivers.sim.edges import passages, pulses, wiegand_bits, wiegand_edges
from drivers.sim.nmea import POSITION, encode_rmc

Values = Mapping[str, Value]
Encoder = tuple[Values, Callable[[Values], bytes]]
"""Typical values, and a function that encodes a complete set of values."""

BME280_CALIBRATION = struct.pack(
    "<HhhHhhhhhhhhxB", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000, 75
) + bytes.fromhex("72 01 00 13 29 03 1E")
"""The coefficients of the BMP280 data sheet's example, with humidity coefficients of an ordinary BME280."""


def number(values: Values, name: str) -> float:
    """Return a number among the values; 0 if absent."""
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def w1_slave(values: Values) -> bytes:
    """Return the text of a DS18B20's file."""
    raw = round(number(values, "temp") * 16)
    low = raw.to_bytes(2, "little", signed=True)
    scratchpad = low + bytes.fromhex("4b 46 7f ff") + bytes((0x10 - (raw & 0x0F), 0x10))
    check = CHECKSUMS["crc8_dallas"].compute(scratchpad)
    words = (scratchpad + bytes((check,))).hex(" ")
    return f"{words} : crc={check:02x} YES\n{words} t={raw * 1000 // 16}\n".encode()


def bme280_values(values: Values) -> bytes:
    """Return the registers F7 to FE of a chip with the calibration above."""
    calibration = Calibration.from_bytes(BME280_CALIBRATION, 0x60)
    temperature = _smallest(lambda raw: calibration.fine(raw) / 5120, number(values, "temp"), 0xFFFFF)
    fine = calibration.fine(temperature)
    pascal = number(values, "pressure") * 100
    pressure = _smallest(lambda raw: -(calibration.pressure(raw, fine) or 0), -pascal, 0xFFFFF)
    humidity = _smallest(lambda raw: calibration.humidity(raw, fine), number(values, "rh"), 0xFFFF)
    channels = (pressure << 4).to_bytes(3, "big") + (temperature << 4).to_bytes(3, "big")
    return channels + humidity.to_bytes(2, "big")


def _smallest(increasing: Callable[[int], float], target: float, max_number: int) -> int:
    """Return the smallest number at which an increasing function reaches a value, by bisection."""
    low, high = 0, max_number
    while low < high:
        middle = (low + high) // 2
        if increasing(middle) < target:
            low = middle + 1
        else:
            high = middle
    return low


def mlx90614_words(values: Values) -> bytes:
    """Return the words of the object and the ambient temperature, each with its PEC."""
    words = [
        (command, round((number(values, name) + 273.15) / 0.02).to_bytes(2, "little"))
        for name, command in (("object_temp", 0x07), ("ambient_temp", 0x06))
    ]
    return b"".join(word + bytes((pec(0x5A, command, word),)) for command, word in words)


def rdm6300_frame(values: Values) -> bytes:
    """Return the frame of a tag in front of the coil."""
    content = bytes((int(number(values, "version")),)) + int(number(values, "tag")).to_bytes(4, "big")
    content += bytes((CHECKSUMS["xor8"].compute(content),))
    return b"\x02" + content.hex().upper().encode() + b"\x03"


def ld2410_frame(values: Values) -> bytes:
    """Return a report in basic mode."""
    names = ("moving_distance", "moving_energy", "static_distance", "static_energy", "detection_distance")
    state = ("none", "moving", "stationary", "both").index(str(values["state"]))
    target = struct.pack("<BHBHBH", state, *(round(number(values, name)) for name in names))
    body = b"\x02\xaa" + target + b"\x55\x00"
    return bytes.fromhex("F4F3F2F1") + len(body).to_bytes(2, "little") + body + bytes.fromhex("F8F7F6F5")


def ld2450_frame(values: Values) -> bytes:
    """Return a frame with the targets in the values."""
    content = b""
    for at in "123":
        present = f"x{at}" in values
        words = [_magnitude(round(number(values, f"{name}{at}"))) if present else 0 for name in ("x", "y", "speed")]
        content += struct.pack("<HHHH", *words, 320 if present else 0)
    return bytes.fromhex("AA FF 03 00") + content + bytes.fromhex("55 CC")


def _magnitude(value: int) -> int:
    return value + 0x8000 if value >= 0 else -value


def sps30_frame(values: Values) -> bytes:
    """Return the answer to a request for values."""
    names = ("pm1", "pm2_5", "pm4", "pm10", "n0_5", "n1", "n2_5", "n4", "n10", "size")
    return sps30.frame(bytes((0, 3, 0, 40)) + struct.pack(">10f", *(number(values, name) for name in names)))


def pn532_frames(values: Values) -> bytes:
    """Return the acknowledgement and the answer: the card with the uid, or none if it is empty."""
    uid = bytes.fromhex(str(values.get("uid") or ""))
    card = bytes((1, 1, 0x00, 0x04, 0x08, len(uid))) + uid if uid else b"\x00"
    return bytes.fromhex("00 00 FF 00 FF 00") + pn532.frame(b"\xd5\x4b" + card)


def toledo_frame(values: Values) -> bytes:
    """Return a frame with two decimals, in kg, with its checksum."""
    weight = round(number(values, "weight") * 100)
    second = 0x30 | bool(values.get("net")) | (weight < 0) << 1
    second |= bool(values.get("overload")) << 2 | bool(values.get("motion")) << 3
    digits = f"{abs(weight):6d}{round(number(values, 'tare') * 100):6d}".encode()
    frame = bytes((0x02, 0x2C, second, 0x20)) + digits + b"\r"
    return frame + bytes((toledo.checksum(frame),))


def system_text(values: Values) -> bytes:
    """Return the text collected by the reader of the gateway's own state."""
    lines = (
        f"temp={round(number(values, 'cpu_temp') * 1000)}",
        f"load={number(values, 'load'):.2f} 0.10 0.10 1/100 4711",
        "end",
    )
    return ("\n".join(lines) + "\n").encode()


def edges_text(edges: list[Edge]) -> bytes:
    """Return edges in the input format of ``gardu decode``."""
    return json.dumps(edges).encode()


def _gpio_edges(values: Values) -> bytes:
    return edges_text([Edge(0.5, "line", int(bool(values["state"])))])


ENCODERS: Mapping[str, Encoder] = {
    "nmea0183": (POSITION, encode_rmc),
    "system": ({"cpu_temp": 48.3, "load": 0.25}, system_text),
    "ds18b20": ({"temp": 4.5}, w1_slave),
    "bme280": (
        {"temp": 28.4, "rh": 71.0, "pressure": 1008.5},
        lambda values: join((BME280_CALIBRATION, bme280_values(values))),
    ),
    "mlx90614": ({"object_temp": 36.4, "ambient_temp": 28.2}, mlx90614_words),
    "rdm6300": ({"tag": 3887558, "version": 103}, rdm6300_frame),
    "ld2410": (
        {
            "state": "both",
            "moving_distance": 140,
            "moving_energy": 55,
            "static_distance": 150,
            "static_energy": 60,
            "detection_distance": 145,
        },
        ld2410_frame,
    ),
    "ld2450": ({"x1": -782, "y1": 1713, "speed1": -16}, ld2450_frame),
    "sps30": (
        {
            "pm1": 12.1,
            "pm2_5": 18.3,
            "pm4": 21.0,
            "pm10": 22.4,
            "n0_5": 81.5,
            "n1": 96.2,
            "n2_5": 98.7,
            "n4": 99.1,
            "n10": 99.2,
            "size": 0.52,
        },
        sps30_frame,
    ),
    "pn532": ({"uid": "b0864d25"}, pn532_frames),
    "toledo": ({"weight": 1234.5, "tare": 20.0, "net": True, "motion": False, "overload": False}, toledo_frame),
    "wiegand": (
        {"facility": 90, "card": 324},
        lambda values: edges_text(
            wiegand_edges(wiegand_bits(int(number(values, "facility")), int(number(values, "card"))))
        ),
    ),
    "dual_beam": (
        {"in": 3, "out": 2, "aborted": 1},
        lambda values: edges_text(passages(*(round(number(values, name)) for name in ("in", "out", "aborted")))),
    ),
    "gpio_in": ({"state": True}, _gpio_edges),
    "gpio_out": ({"state": True}, _gpio_edges),
    "gpio_counter": ({"count": 7}, lambda values: edges_text(pulses(round(number(values, "count"))))),
    "rain_gauge": ({"tips": 12}, lambda values: edges_text(pulses(round(number(values, "tips"))))),
}
