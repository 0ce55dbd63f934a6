"""Packets as no broker should send them: every type, truncated, oversized, with invalid text, and out of order.

Written after the OASIS specifications of MQTT 5.0 and 3.1.1, chapters 2 and 3. Everything is drawn from the dice of the
test, so that a seed repeats it.
"""

import random
import struct
from collections.abc import Callable, Iterator, Sequence

from tests.support.mqtt_packets import variable_length

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

TOPIC = b"makassar/v1/security/checkpoint/pos-1/"
_TOPICS = (*(TOPIC + leaf for leaf in (b"state", b"streams", b"command/ping", b"config/desired")), b"a", b"", b"$x")
_TEXTS = (
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\0",
    b"\xef\xbb\xbf",
    b"+/#",
    b"x" * 65_535,
    b"a\nb\x1b[31m",
    b"",
)
_TYPES = {
    # Property -> its type (MQTT 5.0, section 2.2.2.2).
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), "byte"),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), "two bytes"),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), "four bytes"),
    0x0B: "variable",
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), "text"),
    **dict.fromkeys((0x09, 0x16), "binary"),
    0x26: "pair",
}
_ODD_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)


class MalformedPackets:
    """Draws packets for a connection of this MQTT ``version`` (4 or 5). ``ids``: of messages in flight."""

    def __init__(self, dice: random.Random, version: int, ids: Sequence[int] = (1, 2, 3)) -> None:
        self._dice = dice
        self._mqtt5 = version == 5
        self.ids = ids
        self._makers: dict[int, Callable[[], bytes]] = {
            CONNECT: lambda: _text(b"MQTT") + bytes((version, 2)) + b"\0\x3c" + self._properties() + _text(b"x"),
            CONNACK: lambda: bytes((self._dice.choice((0, 0, 1, 255)), self._reason())) + self._properties(),
            PUBLISH: self._publish,
            SUBSCRIBE: lambda: self._id() + self._properties() + _text(b"#") + b"\1",
            SUBACK: lambda: self._id() + self._properties() + self._reasons(),
            UNSUBSCRIBE: lambda: self._id() + self._properties() + _text(b"#"),
            UNSUBACK: lambda: self._id() + self._properties() + self._reasons(),
            PINGREQ: lambda: b"",
            PINGRESP: lambda: b"",
            DISCONNECT: lambda: bytes((self._reason(),)) + self._properties(),
            AUTH: lambda: bytes((self._dice.choice((0, 24, 25, self._reason())),)) + self._properties(),
            0: lambda: self._dice.randbytes(3),
        }

    def packet(self) -> bytes:
        """One packet, or something like one."""
        packet = self.well_formed(self._dice.randrange(16))
        for _ in range(self._dice.choice((0, 1, 1, 1, 2))):
            packet = self._bent(packet)
        return packet

    def well_formed(self, kind: int) -> bytes:
        """A packet of this type: its lengths are right, its content may be anything."""
        body = self._makers.get(kind, self._acknowledgement)()
        flags = self._dice.randrange(16) if self._dice.random() < 0.2 else self._flags(kind)
        return bytes((kind << 4 | flags,)) + variable_length(len(body)) + body

    def truncations(self) -> Iterator[bytes]:
        """A packet of each type, cut off at each byte: with the length that it had, and with the one that it has."""
        for kind in range(16):
            packet = self.well_formed(kind)[:400]
            head = 1 + len(variable_length(len(packet)))
            for end in range(1, len(packet)):
                yield packet[:end]
                body = packet[head:end]
                yield packet[:1] + variable_length(len(body)) + body

    def reason_codes(self) -> Iterator[bytes]:
        """Each reason code in each packet that has one."""
        for kind in (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH):
            head = {CONNACK: b"\0", DISCONNECT: b"", AUTH: b""}.get(kind, struct.pack(">H", self.ids[0]))
            no_properties = b"\0" if self._mqtt5 else b""
            for code in range(256):
                body = head + (no_properties + bytes((code,)) if kind in (SUBACK, UNSUBACK) else bytes((code,)))
                yield bytes((kind << 4 | self._flags(kind),)) + variable_length(len(body)) + body

    def properties(self) -> Iterator[bytes]:
        """Each property, and each number that is none, in each packet that has properties: alone, and twice."""
        for kind in (CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT, AUTH):
            head = {
                CONNACK: b"\0\0",
                PUBLISH: _text(b"a") + b"\0\1",
                PUBACK: struct.pack(">H", self.ids[0]) + b"\0",
                SUBACK: struct.pack(">H", self.ids[0]),
            }.get(kind, b"\0")
            for name in range(256):
                for count in (1, 2):
                    found = (bytes((name,)) if name < 128 else bytes((name, 1))) + self._value(name)
                    body = head + variable_length(count * len(found)) + count * found
                    flags = 2 if kind == PUBLISH else self._flags(kind)
                    yield bytes((kind << 4 | flags,)) + variable_length(len(body)) + body

    def _flags(self, kind: int) -> int:
        if kind == PUBLISH:
            return self._dice.choice((0, 1, 2, 3, 10, 4, 6))
        return 2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0

    def _publish(self) -> bytes:
        topic = self._dice.choice(_TOPICS) + (self._dice.choice(_TEXTS)[:200] if self._dice.random() < 0.2 else b"")
        payload = self._dice.choice((b"", b"{}", b'{"v":1,"online":false}', self._dice.randbytes(40), b"[" * 300))
        return _text(topic) + self._id() + self._properties() + payload

    def _acknowledgement(self) -> bytes:
        """The body of PUBACK, PUBREC, PUBREL, PUBCOMP."""
        if not self._mqtt5 or self._dice.random() < 0.3:
            return self._id()
        return self._id() + bytes((self._reason(),)) + self._properties()

    def _id(self) -> bytes:
        known = self._dice.random() < 0.6
        return struct.pack(">H", self._dice.choice(self.ids) if known else self._dice.choice((0, 1, 9999, 65_535)))

    def _reason(self) -> int:
        return self._dice.choice((0, 0, 0, self._dice.randrange(256)))

    def _reasons(self) -> bytes:
        return bytes(self._reason() for _ in range(self._dice.choice((0, 1, 2, 5, 5, 300))))

    def _properties(self) -> bytes:
        if not self._mqtt5:
            return b""
        if self._dice.random() < 0.5:
            return b"\0"
        found = b""
        for _ in range(self._dice.choice((1, 1, 2, 8))):
            name = self._dice.choice((*_TYPES, self._dice.randrange(128)))
            found += (bytes((name,)) + self._value(name)) * self._dice.choice((1, 1, 1, 2))
        length = len(found) + (self._dice.choice((-1, 1, 1000)) if self._dice.random() < 0.1 else 0)
        return variable_length(max(0, length)) + found

    def _value(self, name: int) -> bytes:
        number = self._dice.choice(_ODD_NUMBERS)
        text = self._dice.choice((*_TEXTS[:-3], b"text"))[:1000]
        match _TYPES.get(name):
            case "byte":
                return bytes((number % 256,))
            case "two bytes":
                return struct.pack(">H", number % 65_536)
            case "four bytes":
                return struct.pack(">I", number % 2**32)
            case "variable":
                return variable_length(number)
            case "text" | "binary":
                return _text(text)
            case "pair":
                return _text(b"k") + _text(text)
        return self._dice.randbytes(self._dice.randrange(6))

    def _bent(self, packet: bytes) -> bytes:
        """The packet with one thing about it wrong."""
        at = self._dice.randrange(len(packet) + 1)
        match self._dice.randrange(8):
            case 0:
                return packet[:at]
            case 1:
                return (
                    packet[:1]
                    + variable_length(max(0, len(packet) - 2 + self._dice.choice((-2, -1, 1, 2))))
                    + packet[2:]
                )
            case 2:  # a length that no packet has
                lengths = (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x80\x80\x80\x00", b"\x80", b"\xff\xff\x7f")
                return packet[:1] + self._dice.choice(lengths) + packet[2:]
            case 3:
                return (
                    packet[:at] + bytes((packet[at] ^ 1 << self._dice.randrange(8),)) + packet[at + 1 :]
                    if packet[at:]
                    else packet
                )
            case 4:
                return packet[:at] + self._dice.choice(_TEXTS) + packet[at:]
            case 5:
                return packet * self._dice.choice((2, 50))
            case 6:
                return packet + self._dice.randbytes(self._dice.randrange(30))
        return bytes((packet[0] ^ self._dice.randrange(256) if packet else 0,)) + packet[1:]


def _text(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text
