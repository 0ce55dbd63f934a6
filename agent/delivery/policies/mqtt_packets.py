"""Bounds what an MQTT connection brings before it is buffered: a message that is too long is passed over. Pure.

Source: OASIS MQTT 3.1.1 and 5.0, sections 2 (fixed header) and 3.3 (PUBLISH).
"""

from typing import NamedTuple

OVERSIZED_TOPIC = "$gardu/oversized"
"""Topic of the empty message that stands in for one that was passed over, so that it is acknowledged. No subscription
of the agent matches a topic that begins with $."""

_PUBLISH = 3
_MAX_HEADER_BYTES = 5


class NotMqtt(Exception):
    """The bytes are not MQTT, or not what the agent asked for: the connection is useless."""


class Oversized(NamedTuple):
    """A message that was passed over."""

    topic: str
    size_bytes: int


class PacketFilter:
    """``max_bytes``: the longest packet that is passed on. ``five``: whether the connection speaks MQTT 5.

    It holds no packet: of one that is too long it keeps the topic, and of any other nothing.
    """

    def __init__(self, max_bytes: int, five: bool) -> None:
        self._max_bytes = max_bytes
        self._five = five
        self._head = bytearray()
        self._left = 0
        self._kept = bytearray()
        self._skipping = False
        self.oversized: list[Oversized] = []
        """Messages that were passed over; whoever reports them empties the list."""
        self.broken = False
        """Whether what came was not MQTT; set by whoever feeds."""

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes of the connection; give those to pass on. Raises :class:`NotMqtt`."""
        passed = bytearray()
        at = 0
        while at < len(chunk):
            if not self._left:
                self._begin(chunk[at], passed)
                at += 1
                continue
            part = chunk[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if not self._skipping:
                passed += part
                continue
            self._keep(part)
            if not self._left:
                passed += self._stand_in()
        return bytes(passed)

    def _begin(self, byte: int, passed: bytearray) -> None:
        """One more byte of a fixed header: type and flags, then the length in groups of seven bits."""
        self._head.append(byte)
        if len(self._head) == 1:
            return
        if byte & 0x80:
            if len(self._head) == _MAX_HEADER_BYTES:
                raise NotMqtt("length")
            return
        length = sum((part & 0x7F) << (7 * place) for place, part in enumerate(self._head[1:]))
        self._skipping = len(self._head) + length > self._max_bytes
        # The agent subscribes with QoS 1, so nothing is ever sent to it with more.
        is_publish = self._head[0] >> 4 == _PUBLISH
        if (is_publish and self._qos() > 1) or (self._skipping and not is_publish):
            raise NotMqtt("type")
        self._left = length
        if self._skipping:
            self._kept.clear()
            self._size_bytes = length
            self._flags = self._head[0]
        else:
            passed += self._head
        self._head.clear()

    def _qos(self) -> int:
        return self._head[0] >> 1 & 3

    def _keep(self, part: bytes) -> None:
        """Keep topic and message id of what is passed over: their length stands in the first two bytes."""
        self._kept += part[: max(0, 2 - len(self._kept))]
        if len(self._kept) < 2:
            return
        wanted = 4 + int.from_bytes(self._kept[:2])
        taken = self._size_bytes - self._left - len(part)
        self._kept += part[max(0, len(self._kept) - taken) : max(0, wanted - taken)]

    def _stand_in(self) -> bytes:
        """An empty message with the same id, where it has one."""
        self._skipping = False
        end = 2 + int.from_bytes(self._kept[:2])
        self.oversized.append(Oversized(self._kept[2:end].decode(errors="replace"), self._size_bytes))
        mid = bytes(self._kept[end : end + 2])
        if not self._flags & 0x02 or len(mid) < 2:
            return b""
        topic = OVERSIZED_TOPIC.encode()
        body = len(topic).to_bytes(2) + topic + mid + (b"\0" if self._five else b"")
        return bytes((_PUBLISH << 4 | 0x02, len(body))) + body
