"""MQTT packets, versions 5.0 and 3.1.1, as far as the agent uses them: QoS 1, no topic alias (OASIS, chapters 2, 3)."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Any

from agent.delivery import wire

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PING, PONG, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
UNSUPPORTED = 0x84
RECEIVE_MAXIMUM, MAXIMUM_PACKET, CONTENT_TYPE, USER_PROPERTY = 0x21, 0x27, 0x03, 0x26


@dataclass(frozen=True, slots=True)
class Publish:
    """A message from the agent. ``size_bytes``: of the whole packet."""

    topic: str
    payload: bytes
    retain: bool
    content_type: str
    size_bytes: int

    @property
    def leaf(self) -> str:
        """The topic below the gateway's path."""
        address = wire.parse_topic(self.topic)
        return address.leaf if address else self.topic

    @property
    def message(self) -> dict[str, Any]:
        """The payload, decoded."""
        return wire.decode(self.payload)

    @property
    def batch(self) -> wire.Batch:
        """The payload of ``telemetry`` or ``event``."""
        return wire.parse_batch(self.message)


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes, int]:
    """The next packet: its first byte, its body, and its whole length."""
    first = await reader.readexactly(1)
    length = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return first[0], await reader.readexactly(length), 1 + shift // 7 + length


def parse_publish(version: int, flags: int, body: bytes, size: int) -> tuple[int, Publish]:
    topic, rest = split_text(body)
    (mid,) = struct.unpack(">H", rest[:2])
    rest = rest[2:]
    content_type = ""
    if version == 5:
        properties, rest = split_properties(rest)
        content_type = parse_content_type(properties)
    return mid, Publish(topic, rest, bool(flags & 1), content_type, size)


def parse_content_type(properties: bytes) -> str:
    while properties:
        name, properties = properties[0], properties[1:]
        if name == CONTENT_TYPE:
            return split_text(properties)[0]
        if name != USER_PROPERTY:
            raise ValueError(f"property {name} was not expected")
        _, properties = split_text(properties)
        _, properties = split_text(properties)
    return ""


def split_properties(body: bytes) -> tuple[bytes, bytes]:
    """The properties at the front, and what follows them."""
    length = shift = used = 0
    while True:
        byte = body[used]
        length |= (byte & 0x7F) << shift
        shift += 7
        used += 1
        if not byte & 0x80:
            return body[used : used + length], body[used + length :]


def split_text(body: bytes) -> tuple[str, bytes]:
    (size,) = struct.unpack(">H", body[:2])
    return body[2 : 2 + size].decode(), body[2 + size :]


def variable_length(size: int) -> bytes:
    """MQTT's variable byte integer."""
    found = bytearray()
    while True:
        size, digit = divmod(size, 128)
        found.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(found)
