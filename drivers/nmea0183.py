"""GNSS receivers that speak NMEA 0183: position, speed, course and time, one measurement per sentence.

Source: NMEA 0183 standard, version 3.01, sentences GGA, RMC and VTG; the checksum is the XOR of the characters between
``$`` and ``*``. A receiver without a fix still prints numbers, which are never reported as good.
"""

import re
from collections.abc import Callable, Sequence

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Decoder, Field, LineSettings, Measurement, Options, Page, SerialDriver, Value
from drivers.sdk.framing import FrameError, LineDecoder

_SENTENCE = re.compile(r"\$[A-Z]{2}(GGA|RMC|VTG),")
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]+")
_ANGLE = re.compile(r"([0-9]{1,3})([0-9]{2}(?:\.[0-9]*)?)")
_KNOT_M_S = 1852 / 3600
_ESTIMATED = "6"
_MANUAL_OR_SIMULATED = ("7", "8")
_xor = CHECKSUMS["xor8"].compute


class _Sentence:
    """The words of a verified sentence, and the values decoded from them."""

    def __init__(self, words: Sequence[str]) -> None:
        self.values: dict[str, Value] = {}
        self._words = words

    def word(self, at: int) -> str:
        return self._words[at].strip() if at < len(self._words) else ""

    def text(self, name: str, at: int) -> None:
        if self.word(at):
            self.values[name] = self.word(at)

    def number(self, name: str, at: int, scale: float = 1) -> None:
        word = self.word(at)
        if word:
            self.values[name] = _number(word) * scale

    def integer(self, name: str, at: int) -> None:
        word = self.word(at)
        if word and not word.isdecimal():
            raise FrameError("format")
        if word:
            self.values[name] = int(word)

    def position(self, at: int) -> None:
        """Decode latitude and longitude, ddmm.mmm and dddmm.mmm with their hemispheres, from four words."""
        for name, place, positive, negative in (("lat", at, "N", "S"), ("lon", at + 2, "E", "W")):
            angle, side = self.word(place), self.word(place + 1)
            if not angle and not side:
                continue
            match = _ANGLE.fullmatch(angle)
            if match is None or side not in (positive, negative) or float(match[2]) >= 60:
                raise FrameError("format")
            degrees = int(match[1]) + float(match[2]) / 60
            self.values[name] = degrees if side == positive else -degrees

    def measurement(self, names: Sequence[str], *, fix: bool, estimated: bool = False) -> Measurement:
        """Return the measurement; without a fix, ``names`` are null; estimated values are marked uncertain."""
        if not fix:
            self.values.update(dict.fromkeys(names))
            return Measurement(self.values, dict.fromkeys(names, "bad:nofix"))
        missing = [name for name in ("lat", "lon") if name in names and name not in self.values]
        self.values.update(dict.fromkeys(missing))
        doubts = dict.fromkeys((name for name in names if name in self.values and estimated), "uncertain:nofix")
        doubts.update(dict.fromkeys(missing, "bad:nofix"))
        return Measurement(self.values, doubts)


def _number(word: str) -> float:
    if not _NUMBER.fullmatch(word):
        raise FrameError("format")
    return float(word)


def _gga(sentence: _Sentence) -> Measurement:
    sentence.text("utc", 1)
    sentence.position(2)
    sentence.integer("fix", 6)
    sentence.integer("sats", 7)
    sentence.number("hdop", 8)
    sentence.number("alt", 9)
    kind = sentence.word(6)
    fixed = kind not in ("", "0", *_MANUAL_OR_SIMULATED)
    return sentence.measurement(("lat", "lon", "alt"), fix=fixed, estimated=kind == _ESTIMATED)


def _rmc(sentence: _Sentence) -> Measurement:
    sentence.text("utc", 1)
    sentence.position(3)
    sentence.number("speed", 7, _KNOT_M_S)
    sentence.number("course", 8)
    sentence.text("date", 9)
    mode = sentence.word(12)
    fixed = sentence.word(2) == "A" and mode not in ("N", "M", "S")
    return sentence.measurement(("lat", "lon", "speed", "course"), fix=fixed, estimated=mode == "E")


def _vtg(sentence: _Sentence) -> Measurement:
    sentence.number("course", 1)
    sentence.number("speed", 5, _KNOT_M_S)
    mode = sentence.word(9)
    fixed = mode not in ("N", "M", "S") and "speed" in sentence.values
    return sentence.measurement(("speed", "course"), fix=fixed, estimated=mode == "E")


_DECODERS: dict[str, Callable[[_Sentence], Measurement]] = {"GGA": _gga, "RMC": _rmc, "VTG": _vtg}


def decode(line: str, at_s: float) -> Measurement | None:
    """Decode a line; return None for other sentences and other text. Raises FrameError."""
    line = line[max(line.rfind("$"), 0) :].rstrip()
    match = _SENTENCE.match(line)
    if match is None:
        return None
    body, star, check = line[1:].rpartition("*")
    if not star or not re.fullmatch("[0-9A-Fa-f]{2}", check):
        raise FrameError("format")
    if _xor(body.encode("latin-1")) != int(check, 16):
        raise FrameError("checksum")
    return _DECODERS[match[1]](_Sentence(body.split(",")))


def _decoder(options: Options) -> Decoder:
    return LineDecoder(decode, 256)


DRIVER = SerialDriver(
    name="nmea0183",
    title="GNSS receivers with NMEA 0183 output (u-blox, ATGM336H and others)",
    source="NMEA 0183 standard, version 3.01: sentences GGA, RMC, VTG",
    fields={
        "lat": Field("lat", resolution=1e-7, min=-90, max=90),
        "lon": Field("lon", resolution=1e-7, min=-180, max=180),
        "alt": Field("m", resolution=0.01, min=-1000, max=50_000),
        "speed": Field("m/s", resolution=0.001, min=0, max=600),
        "course": Field("deg", resolution=0.01, min=0, max=360),
        "fix": Field("", "state", min=0, max=9),
        "sats": Field("count", resolution=1, min=0, max=99),
        "hdop": Field("", resolution=0.01, min=0),
        "utc": Field("", "text"),
        "date": Field("", "text"),
    },
    period_s=1.0,
    decoder=_decoder,
    line=LineSettings(9600),
    page=Page(
        about="Reads GGA (position, height, satellites), RMC (position, speed, course, date) and VTG.",
        wiring="3.3 V or 5 V depending on the module, GND; TX of the receiver to RXD of the gateway, or USB.",
        pitfalls=(
            "Without a fix position, height, speed and course are null, bad:nofix, whatever the receiver prints.",
            "The first fix after a cold start may take minutes and needs a view of the sky.",
            "utc and date are passed on as sent (hhmmss.ss, ddmmyy); an old receiver may be 1,024 weeks off.",
        ),
        example='[[sensor]]\nid = "position-1"\ndriver = "nmea0183"\n'
        'port = "/dev/serial/by-id/usb-u-blox_GNSS-if00"\ninterval_s = 60\n',
    ),
)
