"""One MQTT connection on the event loop.

paho is used for the protocol alone. Its queue is not used (it is held in memory, drops the newest when full and never
resends on a live socket), nor its reconnecting; the uplink keeps the limits and timers. Each connection is a new
client, driven by the event loop, and dropped at the first doubt.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.base.codes import LogCode, log_extra
from agent.base.display import one_line
from agent.base.guard import guarded, unexpected
from agent.base.i18n import _
from agent.delivery.connection import ConnectionLost, Limits, Message, NoConnack, SessionTakenOver
from agent.delivery.io.broker_errors import refusal, unusable_limits
from agent.delivery.io.mqtt_socket import BoundedSocket
from agent.delivery.policies.mqtt_packets import OVERSIZED_TOPIC, PacketFilter

_log = logging.getLogger(__name__)

CONNECT_S = 10.0
"""Timeout for DNS, TCP and TLS together, and again for the broker's CONNACK."""
MAX_INCOMING_BYTES = 262_144
"""The longest packet accepted: announced to the broker on MQTT 5, and enforced before buffering on both versions."""
_MAX_TURN_READS = 16
"""Reads in one turn of the event loop: a broker that sends without end must not starve other tasks."""
_PROTOCOL_ERROR = 0x82
"""The code with which paho reports a packet that it cannot parse."""
_MAX_UNSENT = 1000
"""Packets that may wait to be sent. The window bounds the agent's own messages, so the others are acknowledgements for
a broker that sends without reading."""


class BoundedClient(Client):
    """paho's client on a bounded socket."""

    packets: PacketFilter

    def _create_socket(self) -> Any:
        sock: Any = super()._create_socket()
        return BoundedSocket(sock, self.packets)

    def set_ping_interval(self, seconds: int) -> None:
        """Send a ping after so many seconds without a packet, whatever keepalive the broker has asked for."""
        self._keepalive = seconds

    def unsent(self) -> int:
        """Return the number of packets that wait to be sent."""
        return len(self._out_packet)


class MqttConnection:
    """An open connection, created by :func:`connect`; unusable once :meth:`lost` has returned.

    ``on_ack(mid, failure)``: a PUBACK arrived; ``failure`` is 0, or the reason code (128 and up) of a refusal.
    ``on_message(message)``: a message arrived through a subscription. ``answer_s``: the timeout for a SUBACK, in
    seconds.
    """

    def __init__(self, client: "BoundedClient", mqtt5: bool, keepalive_s: int, answer_s: float = CONNECT_S) -> None:
        self._client = client
        self.answer_s = answer_s
        self._packets = client.packets
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._writing = False
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[ConnectionLost] = self._loop.create_future()
        self._last_received_s = self._loop.time()
        self.mqtt5 = mqtt5
        self.limits = Limits()
        self.keepalive_s = keepalive_s
        self.on_ack: Callable[[int, int], None] = lambda mid, failure: None
        self.on_message: Callable[[Message], None] = lambda message: None
        self._subscribed: dict[int | None, asyncio.Future[None]] = {}
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    def attach(self) -> None:
        """Let the event loop drive the socket that the connecting thread has opened."""
        self._socket = self._client.socket()
        if self._socket is None:
            self._break(NoConnack(_("the broker closed the connection")))
            return
        self._loop.add_reader(self._socket, self._read)
        self._client.on_socket_register_write = lambda *_: self._start_writing()
        self._client.on_socket_unregister_write = lambda *_: self._stop_writing()
        # Called before paho closes its socket: afterwards the event loop could not remove it any more.
        self._client.on_socket_close = lambda *_: self._detach()
        self._start_writing()

    async def connected(self, timeout_s: float) -> None:
        """Wait for the CONNACK. Raises :class:`ConnectionLost` or a subclass."""
        done, _unused = await asyncio.wait(
            (self._connected, self._lost), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._lost in done:
            raise self._lost.result()
        if not done:
            raise NoConnack(_("the broker accepts connections but does not answer"))

    async def lost(self) -> ConnectionLost:
        """Return the reason when the connection is lost. Also drives the keepalive."""
        while not self._lost.done():
            # paho sends a ping after one keepalive of silence; the answer has half a keepalive.
            overdue_s = self._last_received_s + 1.5 * self.keepalive_s - self._loop.time()
            if overdue_s <= 0:
                self._break(
                    ConnectionLost(_("the broker has been silent for {n:.0f} s").format(n=1.5 * self.keepalive_s))
                )
                break
            self._client.loop_misc()
            await asyncio.wait((self._lost,), timeout=min(overdue_s, self.keepalive_s / 4))
        return self._lost.result()

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, content_type: str = "", encoding: str = ""
    ) -> int:
        """Publish at QoS 1 and return the message's id. ``encoding``: the payload's ``content-encoding``.

        Raises :class:`ConnectionLost` if there is no connection.
        """
        properties = None
        if self.mqtt5 and (content_type or encoding):
            properties = properties_of(PacketTypes.PUBLISH)
            if content_type:
                properties.ContentType = content_type
            if encoding:
                properties.UserProperty = ("content-encoding", encoding)
        if self._lost.done():
            raise self._lost.result()
        return self._client.publish(topic, payload, 1, retain, properties).mid

    async def subscribe(self, topics: list[str]) -> None:
        """Subscribe at QoS 1 and wait for the SUBACK. Raises :class:`ConnectionLost`."""
        from paho.mqtt.subscribeoptions import SubscribeOptions

        # Retain As Published distinguishes our own messages from those that the broker had retained.
        filters: Any = (
            [(topic, SubscribeOptions(qos=1, retainAsPublished=True)) for topic in topics]
            if self.mqtt5
            else [(topic, 1) for topic in topics]
        )
        _unused, mid = self._client.subscribe(filters)
        answered = self._subscribed[mid] = self._loop.create_future()
        await asyncio.wait((answered, self._lost), timeout=self.answer_s, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise self._lost.result() if self._lost.done() else ConnectionLost(_("the broker does not answer"))

    async def close(self, timeout_s: float = 1.0) -> None:
        """Disconnect (so that the broker drops the Will) and close."""
        if self._socket is not None and not self._lost.done():
            self._client.disconnect()
            await asyncio.wait((self._lost,), timeout=timeout_s)
        self.drop()

    def drop(self) -> None:
        """Close without a DISCONNECT: the broker will publish the Will."""
        self._break(ConnectionLost(_("the connection was closed")))

    def _break(self, reason: ConnectionLost) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)
        sock = self._socket
        if sock is not None:
            self._detach()
            sock.close()

    def _detach(self) -> None:
        """Remove the socket from the event loop."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _read(self) -> None:
        self._last_received_s = self._loop.time()
        try:
            for _unused in range(_MAX_TURN_READS):
                self._client.loop_read()
                self._report_oversized()
                if self._client.unsent() > _MAX_UNSENT:
                    self._break(ConnectionLost(_("the broker sends without reading the acknowledgements")))
                if self._socket is None or not self._socket.pending():
                    return
        except Exception as error:  # noqa: BLE001 - the guard: paho raises anything for a malformed packet
            unexpected("MQTT", error)
            self._break(ConnectionLost(_("the broker sent data that is not MQTT")))
            return
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._socket is not None:
            self._read()

    def _report_oversized(self) -> None:
        while self._packets.oversized:
            topic, size_bytes = self._packets.oversized.pop()
            line = _("rejected a message of {count} bytes on {topic}: the limit is {limit}").format(
                count=size_bytes, topic=one_line(topic), limit=MAX_INCOMING_BYTES
            )
            _log.warning(line, extra=log_extra(LogCode.MESSAGE_TOO_LARGE))

    def _start_writing(self) -> None:
        if self._socket is not None and not self._writing:
            self._writing = True
            self._loop.add_writer(self._socket, self._client.loop_write)

    def _stop_writing(self) -> None:
        if self._socket is not None and self._writing:
            self._writing = False
            self._loop.remove_writer(self._socket)

    def _on_connect(self, client: Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self._break(refusal(code))
            return
        if self._connected.done():
            self._break(ConnectionLost(_("the broker sent data that is not MQTT")))
            return
        if self.mqtt5:
            self.limits = Limits(
                getattr(properties, "ReceiveMaximum", 65_535), getattr(properties, "MaximumPacketSize", 268_435_455)
            )
            if (unusable := unusable_limits(getattr(properties, "MaximumQoS", 2), self.limits)) is not None:
                self._break(unusable)
                return
            # 0 means none, but a half-open link must be detected; pinging more often than asked for is allowed.
            self.keepalive_s = min(getattr(properties, "ServerKeepAlive", 0) or self.keepalive_s, self.keepalive_s)
            self._client.set_ping_interval(self.keepalive_s)
        self._connected.set_result(None)

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if flags.is_disconnect_packet_from_server and code.value == 0x8E:
            self._break(SessionTakenOver(_("another client with the same id has connected")))
        elif flags.is_disconnect_packet_from_server:
            self._break(ConnectionLost(_("the broker ended the session: {reason}").format(reason=code)))
        else:
            connected = self._connected.done()
            kind = ConnectionLost if connected else NoConnack
            malformed = self._packets.broken or (connected and code.value == _PROTOCOL_ERROR)
            not_mqtt = _("the broker sent data that is not MQTT")
            self._break(kind(not_mqtt if malformed else _("the broker closed the connection")))

    def _on_publish(self, client: Client, userdata: Any, mid: int, code: ReasonCode, properties: Any) -> None:
        self.on_ack(mid, code.value if code.is_failure else 0)

    def _on_subscribe(self, client: Client, userdata: Any, mid: int, codes: Any, properties: Any) -> None:
        answered = self._subscribed.pop(mid, None)
        if answered is not None and not answered.done():
            answered.set_result(None)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            line = _("rejected a message whose topic is not UTF-8")
            _log.warning(line, extra=log_extra(LogCode.INVALID_TOPIC))
            return
        if topic != OVERSIZED_TOPIC:
            with guarded(one_line(topic)):
                self.on_message(Message(topic, bytes(message.payload), message.retain))


def properties_of(packet: int) -> Properties:
    """Return an empty set of properties for this type of packet."""
    return Properties(packet)  # type: ignore[no-untyped-call]
