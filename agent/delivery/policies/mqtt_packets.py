"""Filters incoming MQTT packets before they are buffered: oversized messages are skipped. No I/O.

Source: OASIS MQTT 3.1.1 and 5.0, sections 2 (fixed header), 3.3 (PUBLISH) and 4.13 (handling errors).
"""

from typing import NamedTuple

OVERSIZED_TOPIC = "$gardu/oversized"
"""Topic of the empty message that replaces a skipped one, so that it is acknowledged. No subscription of the agent
matches a topic that begins with $."""

_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _PINGRESP, _DISCONNECT = 2, 3, 4, 9, 13, 14
_EXPECTED = frozenset((_CONNACK, _PUBLISH, _PUBACK, _SUBACK, _PINGRESP))
_EXPECTED_MQTT5 = _EXPECTED | {_DISCONNECT}
"""All that a broker may send to the agent, which publishes and subscribes with QoS 1, never unsubscribes and uses no
enhanced authentication. The client library would also accept PUBCOMP as an acknowledgement, and answer PINGREQ."""
_MAX_HEADER_BYTES = 5


class MalformedPacket(Exception):
    """The bytes are not MQTT, or not what the agent asked for: the connection is unusable."""


class Oversized(NamedTuple):
    """A message that was skipped."""

    topic: str
    size_bytes: int


class PacketFilter:
    """``max_bytes``: the longest packet passed on. ``mqtt5``: whether the connection uses MQTT 5.

    It buffers no packets: it keeps only the topic of an oversized one.
    """

    def __init__(self, max_bytes: int, mqtt5: bool) -> None:
        self._max_bytes = max_bytes
        self._mqtt5 = mqtt5
        self._expected = _EXPECTED_MQTT5 if mqtt5 else _EXPECTED
        self._head = bytearray()
        self._remaining = 0
        self._prefix = bytearray()
        self._skipping = False
        self.oversized: list[Oversized] = []
        """Messages that were skipped; the reader empties the list."""
        self.broken = False
        """True if the data was not MQTT; set by the caller of :meth:`feed`."""

    def feed(self, chunk: bytes) -> bytes:
        """Process received bytes; return those to pass on. Raises :class:`MalformedPacket`."""
        passed = bytearray()
        at = 0
        while at < len(chunk):
            if not self._remaining:
                self._read_header_byte(chunk[at], passed)
                at += 1
                continue
            part = chunk[at : at + self._remaining]
            at += len(part)
            self._remaining -= len(part)
            if not self._skipping:
                passed += part
                continue
            self._keep(part)
            if not self._remaining:
                passed += self._replacement()
        return bytes(passed)

    def _read_header_byte(self, byte: int, passed: bytearray) -> None:
        """Process one byte of a fixed header: type and flags, then the length in groups of seven bits."""
        self._head.append(byte)
        if len(self._head) == 1:
            if byte >> 4 not in self._expected:
                raise MalformedPacket("type")
            return
        if byte & 0x80:
            if len(self._head) == _MAX_HEADER_BYTES:
                raise MalformedPacket("length")
            return
        length = sum((part & 0x7F) << (7 * place) for place, part in enumerate(self._head[1:]))
        self._skipping = len(self._head) + length > self._max_bytes
        # The agent subscribes with QoS 1, so it never receives a higher one.
        is_publish = self._head[0] >> 4 == _PUBLISH
        if (is_publish and self._qos() > 1) or (self._skipping and not is_publish):
            raise MalformedPacket("QoS or size")
        self._remaining = length
        if self._skipping:
            self._prefix.clear()
            self._size_bytes = length
            self._flags = self._head[0]
        else:
            passed += self._head
        self._head.clear()

    def _qos(self) -> int:
        return self._head[0] >> 1 & 3

    def _keep(self, part: bytes) -> None:
        """Keep topic and message id of a skipped message: the first two bytes are the topic's length."""
        self._prefix += part[: max(0, 2 - len(self._prefix))]
        if len(self._prefix) < 2:
            return
        needed = 4 + int.from_bytes(self._prefix[:2])
        skipped = self._size_bytes - self._remaining - len(part)
        self._prefix += part[max(0, len(self._prefix) - skipped) : max(0, needed - skipped)]

    def _replacement(self) -> bytes:
        """Return an empty message with the same id, if it has one."""
        self._skipping = False
        end = 2 + int.from_bytes(self._prefix[:2])
        self.oversized.append(Oversized(self._prefix[2:end].decode(errors="replace"), self._size_bytes))
        mid = bytes(self._prefix[end : end + 2])
        if not self._flags & 0x02 or len(mid) < 2:
            return b""
        topic = OVERSIZED_TOPIC.encode()
        body = len(topic).to_bytes(2) + topic + mid + (b"\0" if self._mqtt5 else b"")
        return bytes((_PUBLISH << 4 | 0x02, len(body))) + body
