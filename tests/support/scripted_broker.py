"""A small MQTT broker that does as a test tells it: versions 5 and 3.1.1, in the test's own event loop.

Written after the OASIS specifications of MQTT 5.0 and 3.1.1, as far as the agent uses them: QoS 1, no topic alias.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.delivery import wire
from tests.support.loopback_server import LoopbackServer
from tests.support.mqtt_packets import (
    CONNACK,
    DISCONNECT,
    MAXIMUM_PACKET,
    PING,
    PONG,
    PUBACK,
    PUBLISH,
    RECEIVE_MAXIMUM,
    SUBACK,
    SUBSCRIBE,
    UNSUPPORTED,
    Publish,
    parse_content_type,
    parse_publish,
    read_packet,
    split_properties,
    split_text,
    variable_length,
)


@dataclass(slots=True)
class Session:
    """One accepted connection. ``most_open``: how many messages were unacknowledged at a time; ``acknowledged``: ids of
    messages that the agent acknowledged; ``ended``: the other side is gone; ``goodbye``: it said so first."""

    version: int
    client_id: str
    keepalive_s: int
    will: Publish | None
    writer: asyncio.StreamWriter
    began_s: float
    published: list[Publish] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    pings: int = 0
    acknowledged: list[int] = field(default_factory=list)
    goodbye: bool = False
    ended: bool = False
    ended_s: float = 0.0

    def leaves(self) -> list[str]:
        """The topics in the order in which they came."""
        return [one.leaf for one in self.published]

    def send(self, kind: int, body: bytes = b"", flags: int = 0) -> None:
        """Send a packet of this type."""
        if not self.writer.is_closing():
            self.writer.write(bytes((kind << 4 | flags,)) + variable_length(len(body)) + body)

    def publish(self, topic: bytes, payload: bytes, mid: int = 0) -> None:
        """Publish to the agent alone, whatever it subscribed to: with QoS 1 where there is an id. ``topic``: the bytes,
        which may be no text."""
        head = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", mid) if mid else b"")
        self.send(PUBLISH, head + (b"\0" if self.version == 5 else b"") + payload, flags=2 if mid else 0)

    def disconnect(self, reason: int) -> None:
        """End the session from the broker's side."""
        if self.version == 5:
            self.send(DISCONNECT, bytes((reason, 0)))
        self.writer.close()

    def acknowledge(self, mid: int, reason: int = 0) -> None:
        """PUBACK, whether or not there is such a message."""
        self.send(PUBACK, struct.pack(">H", mid) + (bytes((reason, 0)) if reason and self.version == 5 else b""))


Answer = Callable[[Session, Publish], int | None]
"""The PUBACK's reason code for a message; ``None``: no PUBACK at all."""


def accept(session: Session, publish: Publish) -> int | None:
    """Every message is acknowledged."""
    return 0


class ScriptedBroker(LoopbackServer):
    """``answer`` may be changed while it runs; ``retained`` is what it keeps; ``sessions`` what has happened.

    ``deaf``: take connections and say nothing; ``answer_pings``: a False makes the link half open.
    ``ack_delay_s``: so late comes each PUBACK. ``deny``: close each new connection at once. ``session_present``: what
    the CONNACK says of it, right or wrong.
    """

    def __init__(
        self,
        *,
        versions: tuple[int, ...] = (5, 4),
        limits: Mapping[int, int] | None = None,
        answer: Answer = accept,
        deaf: bool = False,
        answer_pings: bool = True,
        refuse_in_own_version: bool = True,
        hang_up_on_others: bool = False,
        ack_delay_s: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self.answer = answer
        self.retained: dict[str, bytes] = {}
        self.sessions: list[Session] = []
        self.connections = 0
        self.deaf = deaf
        self.deny = False
        self.answer_pings = answer_pings
        self.answer_subscriptions = True
        self.session_present = False
        self._versions = versions
        self._limits = dict(limits or {})
        self._refuse_in_own_version = refuse_in_own_version
        self._hang_up_on_others = hang_up_on_others
        self._ack_delay_s = ack_delay_s
        self._subscribers: dict[str, list[Session]] = {}

    @classmethod
    def limited(cls, receive_maximum: int, packet_bytes: int, **more: Any) -> "ScriptedBroker":
        """One that tells these limits in its CONNACK."""
        return cls(limits={RECEIVE_MAXIMUM: receive_maximum, MAXIMUM_PACKET: packet_bytes}, **more)

    @property
    def url(self) -> str:
        return f"{'mqtts' if self._tls else 'mqtt'}://127.0.0.1:{self.port}"

    def published(self) -> list[Publish]:
        """Everything that came, over all sessions."""
        return [one for session in self.sessions for one in session.published]

    def batches(self, stream: str) -> list[wire.Batch]:
        """The batches of a stream, as they came."""
        return [one.batch for one in self.published() if one.leaf == stream]

    def rows(self, stream: str) -> dict[tuple[str, int], Mapping[str, Any]]:
        """The rows of a stream, by epoch and number."""
        return {
            (batch.epoch, batch.seq + index): row
            for batch in self.batches(stream)
            for index, row in enumerate(batch.rows)
        }

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """The agent's own events of this name."""
        return [row for row in self.rows("event/_agent").values() if row["ev"] == name]

    def say(self, topic: str, payload: bytes, retain: bool = True) -> None:
        """Publish as another client would."""
        if retain:
            self.retained[topic] = payload
        for session in self._subscribers.get(topic, []):
            self._forward(session, topic, payload, retain=retain)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.deny:
            return
        if self.deaf:
            await reader.read()
            return
        _, body, _ = await read_packet(reader)
        session = _connect(body, writer)
        if session.version not in self._versions:
            if not self._hang_up_on_others:
                own = session.version == 5 and not self._refuse_in_own_version
                session.send(CONNACK, bytes((0, UNSUPPORTED, 0)) if own else bytes((0, 1)))
            return
        self.sessions.append(session)
        session.send(CONNACK, bytes((self.session_present, 0)) + (self._told_limits() if session.version == 5 else b""))
        try:
            while True:
                kind, body, size = await read_packet(reader)
                if not self._obey(session, kind >> 4, kind & 15, body, size):
                    return
        finally:
            session.ended = True
            session.ended_s = asyncio.get_running_loop().time()
            for listeners in self._subscribers.values():
                if session in listeners:
                    listeners.remove(session)

    def _obey(self, session: Session, kind: int, flags: int, body: bytes, size: int) -> bool:
        """Do what a packet asks; whether to go on."""
        if kind == DISCONNECT:
            session.goodbye = True
            return False
        if kind == PING:
            session.pings += 1
            if self.answer_pings:
                session.send(PONG)
        elif kind == PUBACK:
            session.acknowledged.append(int.from_bytes(body[:2]))
        elif kind == SUBSCRIBE:
            self._subscribe(session, body)
        elif kind == PUBLISH:
            self._publish(session, flags, body, size)
        return True

    def _publish(self, session: Session, flags: int, body: bytes, size: int) -> None:
        mid, publish = parse_publish(session.version, flags, body, size)
        session.published.append(publish)
        session.open += 1
        session.most_open = max(session.most_open, session.open)
        reason = self.answer(session, publish)
        if reason is not None:
            if self._ack_delay_s:
                asyncio.get_running_loop().call_later(self._ack_delay_s, self._acknowledge, session, mid, reason)
            else:
                self._acknowledge(session, mid, reason)
        if not reason:
            if publish.retain:
                self.retained[publish.topic] = publish.payload
            for listener in self._subscribers.get(publish.topic, []):
                self._forward(listener, publish.topic, publish.payload, retain=publish.retain and listener.version == 5)

    def _acknowledge(self, session: Session, mid: int, reason: int) -> None:
        session.open -= 1
        session.acknowledge(mid, reason)

    def _subscribe(self, session: Session, body: bytes) -> None:
        mid, rest = body[:2], body[2:]
        if not self.answer_subscriptions:
            return
        if session.version == 5:
            _, rest = split_properties(rest)
        topics = []
        while rest:
            topic, rest = split_text(rest)
            topics.append(topic)
            rest = rest[1:]
        session.send(SUBACK, mid + (b"\0" if session.version == 5 else b"") + b"\1" * len(topics))
        for topic in topics:
            self._subscribers.setdefault(topic, []).append(session)
            if topic in self.retained:
                self._forward(session, topic, self.retained[topic], retain=True)

    def _forward(self, session: Session, topic: str, payload: bytes, retain: bool) -> None:
        name = topic.encode()
        head = struct.pack(">H", len(name)) + name + (b"\0" if session.version == 5 else b"")
        session.send(PUBLISH, head + payload, flags=int(retain))

    def _told_limits(self) -> bytes:
        found = b"".join(
            bytes((name,)) + struct.pack(">H" if name == RECEIVE_MAXIMUM else ">I", value)
            for name, value in self._limits.items()
        )
        return variable_length(len(found)) + found


def _connect(body: bytes, writer: asyncio.StreamWriter) -> Session:
    _, rest = split_text(body)
    version, flags, keepalive_s = struct.unpack(">BBH", rest[:4])
    rest = rest[4:]
    if version == 5:
        _, rest = split_properties(rest)
    client_id, rest = split_text(rest)
    will = None
    if flags & 4:
        properties = b""
        if version == 5:
            properties, rest = split_properties(rest)
        topic, rest = split_text(rest)
        (size,) = struct.unpack(">H", rest[:2])
        will = Publish(topic, rest[2 : 2 + size], bool(flags & 0x20), parse_content_type(properties), 0)
    began_s = asyncio.get_running_loop().time()
    return Session(version, client_id, keepalive_s, will, writer, began_s)
