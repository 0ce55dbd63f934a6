"""RDM6300 readers of 125 kHz tags (EM4100).

Source: Itead Studio, RDM6300 specification: 02, ten hexadecimal digits (version, four bytes of number), two of their
XOR, 03; 9600 8N1; the frame is repeated about every 65 ms while the tag is in front of the coil. Compared with ESPHome,
rdm6300.
"""

import re

from drivers.sdk.checksum import CHECKSUMS
from drivers.sdk.contract import Decoder, Field, LineSettings, Measurement, Options, Page, Presence, SerialDriver
from drivers.sdk.framing import FrameDecoder, FrameError, FrameFormat

_FRAME = FrameFormat(sync=b"\x02", length=14, tail=b"\x03")
_DIGITS = re.compile(rb"[0-9A-F]{12}")
_xor = CHECKSUMS["xor8"].compute


def decode(frame: bytes, at_s: float) -> Measurement:
    """Decode the tag in a frame. Raises FrameError."""
    digits = frame[1:13]
    if not _DIGITS.fullmatch(digits):
        raise FrameError("format")
    number = bytes.fromhex(digits.decode())
    if _xor(number[:5]) != number[5]:
        raise FrameError("checksum")
    return Measurement({"tag": int.from_bytes(number[1:5], "big"), "version": number[0]})


def _decoder(options: Options) -> Decoder:
    return FrameDecoder(_FRAME, decode)


DRIVER = SerialDriver(
    name="rdm6300",
    title="RDM6300 reader of 125 kHz tags (EM4100)",
    source="Itead Studio, RDM6300 specification, data format; compared with ESPHome (rdm6300)",
    fields={
        "tag": Field("", "state", min=0, max=2**32 - 1, identifier=True),
        "version": Field("", "state", min=0, max=255),
    },
    period_s=0.0,
    decoder=_decoder,
    inline=True,
    line=LineSettings(9600),
    presence=Presence(("tag", "version"), gone_s=0.3),
    page=Page(
        about="A tag that arrives is the event seen, one that leaves the event gone, 0.3 s after its last read.\n"
        "Its number leaves the gateway only as a keyed hash.",
        wiring="5 V and GND; TX of the reader to RXD of the gateway through a divider (its output is 5 V); the coil.",
        pitfalls=(
            "The number printed on a card is the low three or four bytes of its number, in decimal.",
            "Metal behind the coil reduces its range.",
            "EM4100 tags are easily copied: the number identifies a tag, not the person who carries it.",
        ),
        example='[[sensor]]\nid = "gate-1"\ndriver = "rdm6300"\n'
        'port = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"\n',
    ),
)
