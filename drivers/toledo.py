"""Weighing indicators with Toledo continuous output: Mettler-Toledo, and most weighbridges.

Source: Mettler-Toledo, WILDCAT scale technical manual E15609900A (12/00), appendix 2 (tables 6-8 to 6-11): STX, three
status words, six digits of weight, six of tare, CR, and an optional checksum: the two's complement of the low seven
bits of the sum from STX to CR. Tonnes in the third word: Triner, TS-700 owner's manual, p. 13. Often sent as 7E1, which
has as many bits as 8N1: read as 8N1, its parity arrives as bit 7, which carries no data and is dropped, so one setting
reads both.
"""

from drivers.sdk.contract import (
    Decoder,
    Field,
    Item,
    LineSettings,
    Measurement,
    Option,
    Options,
    Page,
    Rejected,
    SerialDriver,
    Value,
)
from drivers.sdk.framing import FrameError

_STX, _CR = 0x02, 0x0D
_FRAME_BYTES = 17
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_STATUS_BIT = 0x20
"""Always set in the three status words, and in no control character."""
_NET, _NEGATIVE, _OVER, _MOTION, _KILOGRAM, _NOT_ZEROED = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40
_POUND_KG = 0.45359237
_OTHER_UNITS_KG = {1: 0.001, 2: 1000.0}
"""By the low three bits of the third status word: grams, tonnes. 0: kg or lb, according to the second word."""


def checksum(frame: bytes) -> int:
    """Return the seven-bit checksum that follows a frame."""
    return -(sum(frame) & 0x7F) & 0x7F


def decode(frame: bytes) -> Measurement:
    """Decode the 17 bytes of a frame. Raises FrameError."""
    first, second, third = frame[1:4]
    weight, tare = _number(frame[4:10]), _number(frame[10:16])
    if tare is None or frame[16] != _CR:
        raise FrameError("format")
    unit = third & 0x07
    if unit == 0:
        scale = 1.0 if second & _KILOGRAM else _POUND_KG
    elif unit in _OTHER_UNITS_KG:
        scale = _OTHER_UNITS_KG[unit]
    else:
        raise FrameError("format")
    power = (first & 0x07) - 2
    over, motion = bool(second & _OVER), bool(second & _MOTION)
    values: dict[str, Value] = {
        "weight": None if over or weight is None else _scaled(weight, power, scale),
        "tare": _scaled(tare, power, scale),
        "net": bool(second & _NET),
        "motion": motion,
        "overload": over,
    }
    if second & _NEGATIVE and isinstance(values["weight"], float):
        values["weight"] = -values["weight"]
    doubts = {}
    if over:
        doubts["weight"] = "bad:overload"
    elif weight is None:
        doubts["weight"] = "bad:device"
    elif motion:
        doubts["weight"] = "uncertain:motion"
    elif second & _NOT_ZEROED:
        doubts["weight"] = "uncertain:unset"
    return Measurement(values, doubts)


def _number(digits: bytes) -> int | None:
    """Decode six digits with leading blanks; return None if all are blank. Raises FrameError."""
    text = digits.decode("latin-1").lstrip(" ")
    if text and not (text.isascii() and text.isdecimal()):
        raise FrameError("format")
    return int(text) if text else None


def _scaled(number: int, power: int, scale: float) -> float:
    """Scale a number. Dividing by 10 is exact, multiplying by 0.1 is not."""
    factor = 10.0 ** abs(power)
    return (number / factor if power >= 0 else number * factor) * scale


class ContinuousDecoder:
    """Extracts frames from bytes. ``checksum``: ``on``, ``off`` or ``auto``: a byte after a frame that does not start
    the next one is its checksum."""

    def __init__(self, checksum: str) -> None:
        self.skipped = 0
        self._checksum = checksum
        self._rest = b""

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        return self._scan(self._rest + chunk.translate(_SEVEN_BITS), ended=False)

    def finish(self, at_s: float) -> list[Item]:
        return self._scan(self._rest, ended=True)

    def _scan(self, buffer: bytes, *, ended: bool) -> list[Item]:
        items: list[Item] = []
        needed = _FRAME_BYTES if self._checksum == "off" else _FRAME_BYTES + 1
        position = 0
        while position < len(buffer):
            is_start = _is_start(buffer[position : position + 4])
            available = len(buffer) - position
            whole = available >= needed or (ended and available == _FRAME_BYTES and self._checksum == "auto")
            if is_start and not whole and not ended:
                break
            size = self._accept(buffer[position : position + _FRAME_BYTES + 1], items) if is_start and whole else 0
            self.skipped += 0 if size else 1
            position += size or 1
        self._rest = buffer[position:]
        return items

    def _accept(self, raw: bytes, items: list[Item]) -> int:
        """Decode a candidate; return the number of bytes used, 0 if it is not a frame."""
        frame, following = raw[:_FRAME_BYTES], raw[_FRAME_BYTES:]
        has_checksum = self._checksum == "on" or (self._checksum == "auto" and following not in (b"", b"\x02"))
        try:
            measurement = decode(frame)
            if has_checksum and following[0] != checksum(frame):
                raise FrameError("checksum")
        except FrameError as error:
            items.append(Rejected(error.reason))
            return 0
        items.append(measurement)
        return _FRAME_BYTES + has_checksum


def _is_start(head: bytes) -> bool:
    """Return whether a frame may begin with ``head``."""
    return head[0] == _STX and all(word & _STATUS_BIT for word in head[1:])


def _decoder(options: Options) -> Decoder:
    return ContinuousDecoder(str(options.get("checksum") or "auto"))


DRIVER = SerialDriver(
    name="toledo",
    title="Weighing indicators with Toledo continuous output (weighbridges)",
    source="Mettler-Toledo, WILDCAT technical manual E15609900A, appendix 2; Triner, TS-700 owner's manual, p. 13",
    fields={
        "weight": Field("kg", resolution=0.001),
        "tare": Field("kg", resolution=0.001, min=0),
        "net": Field("", "state"),
        "motion": Field("", "state"),
        "overload": Field("", "state"),
    },
    period_s=0.1,
    decoder=_decoder,
    options={"checksum": Option("str", "auto", "whether a checksum follows each frame", choices=("auto", "on", "off"))},
    inline=True,
    line=LineSettings(9600),
    page=Page(
        about="The weight and tare that an indicator sends unsolicited. Pounds, grams and tonnes are\n"
        "converted to kg. The weight is marked uncertain:motion while the load moves, and uncertain:unset until the\n"
        "scale has been zeroed after power-on; a weight out of range (over or under) is null.",
        wiring="RS-232 (a level converter or a USB adapter is needed): TXD of the indicator to RXD, GND to GND.",
        pitfalls=(
            '7 data bits and even parity are usual; Chinese indicators may use 8N1 (parity = "N"). Both work.',
            'Set checksum = "on" if the indicator sends one: then a corrupt frame can never pass.',
            "Some makers encode the unit elsewhere (Liden: pounds in bit 0 of word 3): compare with the display.",
            "It sends many frames a second: set interval_s to downsample them; otherwise every one is stored.",
        ),
        example='[[sensor]]\nid = "weighbridge"\ndriver = "toledo"\n'
        'port = "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"\ninterval_s = 1\n',
    ),
)
