"""The inverse of the NMEA 0183 decoder: sentences that a receiver would have sent."""

from collections.abc import Mapping

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Value

Values = Mapping[str, Value]

POSITION: Values = {
    "lat": -5.1477,
    "lon": 119.4327,
    "speed": 6.2,
    "course": 84.0,
    "utc": "010203.00",
    "date": "241126",
}


def encode_rmc(values: Values) -> bytes:
    """Return an RMC sentence; without ``lat`` and ``lon``, that of a receiver without a fix."""
    merged = {**POSITION, **values}
    fixed = merged["lat"] is not None and merged["lon"] is not None
    words = [
        "GPRMC",
        str(merged["utc"]),
        "A" if fixed else "V",
        *(_angle(merged["lat"], 2, "NS") if fixed else ("", "")),
        *(_angle(merged["lon"], 3, "EW") if fixed else ("", "")),
        f"{_float(merged['speed']) * 3600 / 1852:.3f}" if fixed else "",
        f"{_float(merged['course']):.2f}" if fixed else "",
        str(merged["date"]),
        "",
        "",
        "A" if fixed else "N",
    ]
    return sentence(",".join(words))


def sentence(body: str) -> bytes:
    """Return an NMEA 0183 sentence around its body, with the checksum."""
    return f"${body}*{CHECKSUMS['xor8'].compute(body.encode()):02X}\r\n".encode()


def _float(value: Value) -> float:
    return float(value or 0)


def _angle(value: Value, width: int, sides: str) -> tuple[str, str]:
    degrees, minutes = divmod(round(abs(_float(value)) * 60, 5), 60)
    return f"{int(degrees):0{width}d}{minutes:08.5f}", sides[0] if _float(value) >= 0 else sides[1]
