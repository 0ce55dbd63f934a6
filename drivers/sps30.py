"""Sensirion SPS30 particulate matter sensors on their serial port.

Source: Sensirion, SPS30 datasheet V1.0, section 5: the SHDLC frame with its byte stuffing, checksum and state (bit 7:
device fault; the other bits: why a command failed), start measurement, read measured values. Compared with
avaldebe/PyPMS.
"""

import struct

from drivers.sdk.contract import (
    NOTHING_DOUBTED,
    Decoder,
    Field,
    Item,
    LineSettings,
    Measurement,
    Options,
    Page,
    Rejected,
    SerialDriver,
)
from drivers.sdk.framing import FrameError

_FLAG = b"\x7e"
_ESCAPE = 0x7D
_STUFFED = {0x5E: 0x7E, 0x5D: 0x7D, 0x31: 0x11, 0x33: 0x13}
_MAX_BYTES = 2 * (5 + 255)
_MIN_BYTES = 5
_DEVICE_FAULT = 0x80
_READ = 0x03
_VALUES = struct.Struct(">10f")
_NAMES = ("pm1", "pm2_5", "pm4", "pm10", "n0_5", "n1", "n2_5", "n4", "n10", "size")


def unstuff(raw: bytes) -> bytes:
    """Remove the byte stuffing between two flags, in one pass. Raises FrameError."""
    plain = bytearray()
    following = iter(raw)
    for byte in following:
        if byte == _ESCAPE:
            byte = _STUFFED.get(next(following, -1), -1)
            if byte < 0:
                raise FrameError("format")
        plain.append(byte)
    return bytes(plain)


def stuff(plain: bytes) -> bytes:
    """Apply the byte stuffing used between two flags."""
    escapes = {plain_byte: bytes((_ESCAPE, sent)) for sent, plain_byte in _STUFFED.items()}
    return b"".join(escapes.get(byte, bytes((byte,))) for byte in plain)


def frame(body: bytes) -> bytes:
    """Return a complete frame around address, command, state and so on."""
    return _FLAG + stuff(body + bytes((~sum(body) & 0xFF,))) + _FLAG


def decode(plain: bytes) -> Measurement | None:
    """Decode an answer; return None for one without values. Raises FrameError."""
    if ~sum(plain[:-1]) & 0xFF != plain[-1]:
        raise FrameError("checksum")
    command, state, length = plain[1], plain[2], plain[3]
    if length != len(plain) - _MIN_BYTES:
        raise FrameError("format")
    if state & ~_DEVICE_FAULT:
        raise FrameError("device")
    if command != _READ or length == 0:
        return None
    if length != _VALUES.size:
        raise FrameError("format")
    values = dict(zip(_NAMES, _VALUES.unpack(plain[4:-1]), strict=True))
    return Measurement(values, dict.fromkeys(values, "uncertain:device") if state else NOTHING_DOUBTED)


class ShdlcDecoder:
    """Decodes the bytes between flags; only those that begin with the device's address 0 are candidates."""

    def __init__(self) -> None:
        self.skipped = 0
        self._rest = b""

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        *parts, rest = (self._rest + chunk).split(_FLAG)
        items: list[Item] = []
        for part in parts:
            self._handle_frame(part, items)
        if len(rest) > _MAX_BYTES:
            self.skipped += len(rest) - 1
            rest = b"\xff"  # drop everything until the next flag
        self._rest = rest
        return items

    def finish(self, at_s: float) -> list[Item]:
        self.skipped += len(self._rest)
        self._rest = b""
        return []

    def _handle_frame(self, part: bytes, items: list[Item]) -> None:
        if part[:1] != b"\x00":
            self.skipped += len(part)
            return
        try:
            plain = unstuff(part)
            if len(plain) < _MIN_BYTES:
                raise FrameError("format")
            item = decode(plain)
        except FrameError as error:
            items.append(Rejected(error.reason))
            self.skipped += len(part)
        else:
            items += [item] if item is not None else []


def _decoder(options: Options) -> Decoder:
    return ShdlcDecoder()


def _number() -> Field:
    return Field("1/cm3", resolution=0.001, min=0, max=3100)


def _mass() -> Field:
    return Field("ug/m3", resolution=0.001, min=0, max=1100)


DRIVER = SerialDriver(
    name="sps30",
    title="Sensirion SPS30 particulate matter sensor (serial port)",
    source="Sensirion, SPS30 datasheet V1.0, section 5; compared with avaldebe/PyPMS",
    fields={
        **{name: _mass() for name in _NAMES[:4]},
        **{name: _number() for name in _NAMES[4:9]},
        "size": Field("um", resolution=0.001, min=0, max=10),
    },
    period_s=2.0,
    decoder=_decoder,
    inline=True,
    line=LineSettings(115_200),
    setup=(frame(bytes((0, 0x00, 2, 0x01, 0x03))),),
    request=frame(bytes((0, _READ, 0))),
    timeout_s=0.5,
    page=Page(
        about="Measures dust in the air with a laser: mass concentration up to 1, 2.5, 4 and 10 um, number from\n"
        "0.3 um up to each size, and the typical size. It is polled for each reading.",
        wiring="5 V and GND; leave SEL open for the serial port; RX and TX are 3.3 V (5 V tolerant).",
        pitfalls=(
            "Values are less accurate during the first half minute after a start, longer in clean air.",
            "A fault of its fan or laser marks all values uncertain:device.",
            "Its fan cleans itself for ten seconds once a week: values during that time are wrong.",
        ),
        example='[[sensor]]\nid = "air-1"\ndriver = "sps30"\n'
        'port = "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"\ninterval_s = 10\n',
    ),
)
