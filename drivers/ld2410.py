"""Hi-Link HLK-LD2410 presence radars (also LD2410B and LD2410C).

Source: Hi-Link, HLK-LD2410 serial communication protocol, 2.3: report frames in basic (02) and engineering mode (01);
rely on the length field, since some types append bytes. Compared with ESPHome, ld2410.
"""

import struct

from drivers.sdk.contract import Decoder, Field, LineSettings, Measurement, Options, Page, SerialDriver
from drivers.sdk.framing import FrameDecoder, FrameError, FrameFormat, LengthField

_FRAME = FrameFormat(
    sync=bytes.fromhex("F4 F3 F2 F1"),
    length=LengthField(at=4, format="<H", add=10, min_=23, max_=128),
    tail=bytes.fromhex("F8 F7 F6 F5"),
)
_TARGET = struct.Struct("<BHBHBH")
_MODES = (0x01, 0x02)
_STATES = ("none", "moving", "stationary", "both")
_MAX_ENERGY = 100
_MAX_DISTANCE_CM = 1000


def decode(frame: bytes, at_s: float) -> Measurement:
    """Decode the target in a report. Raises FrameError for values that no radar sends."""
    if frame[6] not in _MODES or frame[7] != 0xAA or frame[-6:-4] != b"\x55\x00":
        raise FrameError("format")
    state, moving, moving_energy, static, static_energy, detection = _TARGET.unpack_from(frame, 8)
    energies, distances = (moving_energy, static_energy), (moving, static, detection)
    if state >= len(_STATES) or max(energies) > _MAX_ENERGY or max(distances) > _MAX_DISTANCE_CM:
        raise FrameError("format")
    return Measurement(
        {
            "state": _STATES[state],
            "moving_distance": moving,
            "moving_energy": moving_energy,
            "static_distance": static,
            "static_energy": static_energy,
            "detection_distance": detection,
        }
    )


def _decoder(options: Options) -> Decoder:
    return FrameDecoder(_FRAME, decode)


def _distance() -> Field:
    return Field("cm", resolution=1, min=0, max=_MAX_DISTANCE_CM)


def _energy() -> Field:
    return Field("", resolution=1, min=0, max=_MAX_ENERGY)


DRIVER = SerialDriver(
    name="ld2410",
    title="Hi-Link HLK-LD2410 presence radar (LD2410B, LD2410C)",
    source="Hi-Link, HLK-LD2410 serial communication protocol, 2.3; compared with ESPHome (ld2410)",
    fields={
        "state": Field("", "text"),
        "moving_distance": _distance(),
        "moving_energy": _energy(),
        "static_distance": _distance(),
        "static_energy": _energy(),
        "detection_distance": _distance(),
    },
    period_s=0.1,
    decoder=_decoder,
    inline=True,
    line=LineSettings(256_000),
    page=Page(
        about="Reports whether somebody is present (none, moving, stationary, both), and how far away. It sends ten\n"
        "reports a second; set interval_s to downsample them.",
        wiring="5 V (200 mA) and GND; its serial lines are 3.3 V: TX to RXD of the gateway, RX to TXD.",
        pitfalls=(
            "256,000 baud is an unusual rate: use a USB adapter or ttyAMA0, not the mini UART (ttyS0).",
            "Frames have no checksum: they are validated by start and end bytes, length and value ranges.",
            "It detects people through thin walls and curtains, and mistakes a fan for a person.",
        ),
        example='[[sensor]]\nid = "room-1"\ndriver = "ld2410"\n'
        'port = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"\ninterval_s = 10\n',
    ),
)
