"""NXP PN532 readers of 13.56 MHz cards, on their serial port.

Source: NXP, PN532 user manual UM0701-02 rev 02: frames, ACK and error frame; SAMConfiguration, RFConfiguration,
InListPassiveTarget (106 kbit/s type A). Compared with ESPHome, pn532.
"""

from drivers.sdk.contract import (
    Decoder,
    Field,
    Item,
    LineSettings,
    Measurement,
    Options,
    Page,
    Presence,
    Rejected,
    SerialDriver,
)
from drivers.sdk.framing import FrameError

_START = b"\x00\x00\xff"
_SHORT_BYTES = 6
"""An ACK or NACK: start, two bytes, and 00."""
_SHORT = (b"\x00\xff", b"\xff\x00")
_FROM_HOST, _FROM_DEVICE, _FAULT = 0xD4, 0xD5, 0x7F
_TARGETS_LISTED = 0x4B
_UID_BYTES = (4, 7, 10)


def frame(content: bytes) -> bytes:
    """Return a normal frame around a command or answer, from its direction byte on."""
    length = len(content)
    return _START + bytes((length, -length & 0xFF)) + content + bytes((-sum(content) & 0xFF, 0))


def command(content: str) -> bytes:
    """Return a command of the host, given in hexadecimal from its code on."""
    return frame(bytes((_FROM_HOST,)) + bytes.fromhex(content))


def decode(content: bytes) -> Measurement | None:
    """Decode the content of a verified frame; return None for answers to other commands. Raises FrameError."""
    if content[:1] == bytes((_FAULT,)):
        raise FrameError("device")
    if content[:2] != bytes((_FROM_DEVICE, _TARGETS_LISTED)):
        return None
    if len(content) < 3:
        raise FrameError("format")
    if content[2] == 0:
        return Measurement({"targets": 0})
    # The first target: number, SENS_RES (2), SEL_RES, length of the UID, UID.
    uid_bytes = content[7] if len(content) > 7 else 0
    uid = content[8 : 8 + uid_bytes]
    if uid_bytes not in _UID_BYTES or len(uid) < uid_bytes:
        raise FrameError("format")
    return Measurement({"targets": content[2], "uid": uid.hex()})


class FramesDecoder:
    """Extracts frames from bytes; acknowledgements are ignored."""

    def __init__(self) -> None:
        self.skipped = 0
        self._rest = b""

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        buffer = self._rest + chunk
        items: list[Item] = []
        position = 0
        while (start := buffer.find(_START, position)) >= 0:
            self.skipped += start - position
            position = start
            size = _size(buffer[start : start + 5])
            if start + size > len(buffer):
                break
            if not self._accept(buffer[start : start + size], items):
                self.skipped += 1
                size = 1
            position = start + size
        else:
            begun = next((count for count in (2, 1) if buffer.endswith(_START[:count])), 0)
            keep = min(begun, len(buffer) - position)
            self.skipped += len(buffer) - keep - position
            position = len(buffer) - keep
        self._rest = buffer[position:]
        return items

    def finish(self, at_s: float) -> list[Item]:
        items: list[Item] = []
        while self._rest:
            rest, self._rest = self._rest[1:], b""
            self.skipped += 1
            items += self.feed(rest, at_s)
        return items

    def _accept(self, raw: bytes, items: list[Item]) -> bool:
        """Decode a candidate; return whether it is a frame."""
        if raw[3:5] in _SHORT and len(raw) == _SHORT_BYTES:
            return raw[5] == 0
        if len(raw) < _SHORT_BYTES:
            return False
        content = raw[5:-2]
        try:
            if sum(content) + raw[-2] & 0xFF:
                raise FrameError("checksum")
            if raw[-1] != 0:
                raise FrameError("format")
            item = decode(content)
        except FrameError as error:
            items.append(Rejected(error.reason))
            return False
        if item is not None:
            items.append(item)
        return True


def _size(head: bytes) -> int:
    """Return the size of the frame that begins with ``head``; 5 if its length is invalid or incomplete."""
    if head[3:] in _SHORT:
        return _SHORT_BYTES
    if len(head) < 5 or head[3] + head[4] & 0xFF or head[3] == 0:
        return 5
    return head[3] + 7


def _decoder(options: Options) -> Decoder:
    return FramesDecoder()


DRIVER = SerialDriver(
    name="pn532",
    title="NXP PN532 reader of 13.56 MHz cards (serial port)",
    source="NXP, PN532 user manual UM0701-02 rev 02; compared with ESPHome (pn532)",
    fields={
        "uid": Field("", "text", identifier=True),
        "targets": Field("count", resolution=1, min=0, max=2),
    },
    period_s=0.3,
    decoder=_decoder,
    inline=True,
    line=LineSettings(115_200),
    setup=(
        # Wake it up: a preamble of 55 and zeros before the first command.
        b"\x55\x55" + bytes(14) + command("14 01"),
        command("32 05 FF 01 10"),  # search briefly for a card, then report that there is none
    ),
    request=command("4A 01 00"),
    timeout_s=0.5,
    presence=Presence(("uid",), gone_s=1.0),
    page=Page(
        about="A card that arrives is the event seen, one that leaves the event gone. Its number (four, seven or ten\n"
        "bytes) leaves the gateway only as a keyed hash.",
        wiring="3.3 V or 5 V depending on the board, GND; both switches on HSU; TXD of the board to RXD of the\n"
        "  gateway and RXD to TXD, 3.3 V.",
        pitfalls=(
            "Phones present a different random number each time (it begins with 08).",
            "A card number is easily copied: it identifies a card, not the person who carries it.",
            "Metal behind the antenna reduces its range.",
        ),
        example='[[sensor]]\nid = "gate-1"\ndriver = "pn532"\n'
        'port = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"\ninterval_s = 0.3\n',
    ),
)
