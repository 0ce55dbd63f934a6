"""One connection to an MQTT broker: the only importer of paho-mqtt.

paho is used for the protocol alone. It queues nothing for us (its queue lives in memory, drops the newest when full
and never repeats on a live socket), never reconnects by itself, and its limits and timers are kept by the uplink:
each connection is a new client, driven by the event loop, given up at the first doubt.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.failure import Overdue
from agent.core.link import (
    Limits,
    LinkLost,
    Message,
    NotReached,
    Refused,
    TakenOver,
    Unanswered,
    Will,
    WrongVersion,
)
from agent.core.settings import Broker
from agent.core.text import say
from agent.edges.worker import Worker

_CONNECT_S = 10.0
"""For DNS, TCP and TLS together, and again for the broker's CONNACK."""
_PROBE_S = 4.0
"""For the CONNACK where MQTT 5 is only a guess: a broker that cannot read it may wait for bytes that never come."""
# The longest list of trust roots (agent.core.trust), and its topic.
_MAX_INCOMING_BYTES = 2 * 1024 * 1024 + 1024
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_UNSUPPORTED_VERSION = 0x84


class Link:
    """An open connection. Made by :func:`connect`; useless once :meth:`lost` has returned.

    ``on_ack(mid, failure)``: a PUBACK came; ``failure`` is 0, or the reason code (128 and up) of a refusal.
    ``on_message(message)``: a subscription brought something.
    """

    def __init__(self, client: Client, five: bool, keepalive_s: int) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._writing = False
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[LinkLost] = self._loop.create_future()
        self._heard = self._loop.time()
        self.five = five
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
            self._break(Unanswered(say("the broker closed the connection")))
            return
        self._loop.add_reader(self._socket, self._read)
        self._client.on_socket_register_write = lambda *_: self._start_writing()
        self._client.on_socket_unregister_write = lambda *_: self._stop_writing()
        # Called before paho closes its socket: afterwards the event loop could not let go of it any more.
        self._client.on_socket_close = lambda *_: self._detach()
        self._start_writing()

    async def connected(self, timeout_s: float) -> None:
        """Wait for the CONNACK. Raises :class:`LinkLost` or one of its kind."""
        done, _ = await asyncio.wait(
            (self._connected, self._lost), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self._lost in done:
            raise self._lost.result()
        if not done:
            raise Unanswered(say("the broker accepts connections but does not answer"))

    async def lost(self) -> LinkLost:
        """Return, with the reason, when the connection is gone. Keeps the ping timer meanwhile."""
        while not self._lost.done():
            # paho sends the ping when the line was quiet for one keepalive; half of one more is the answer's time.
            overdue_s = self._heard + 1.5 * self.keepalive_s - self._loop.time()
            if overdue_s <= 0:
                self._break(LinkLost(say("the broker has been silent for {n:.0f} s", n=1.5 * self.keepalive_s)))
                break
            self._client.loop_misc()
            await asyncio.wait((self._lost,), timeout=min(overdue_s, self.keepalive_s / 4))
        return self._lost.result()

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, content_type: str = "", encoding: str = ""
    ) -> int:
        """Send at QoS 1 and give the message's id. ``encoding``: the payload's ``content-encoding``.

        Raises :class:`LinkLost` when there is no connection.
        """
        properties = None
        if self.five and (content_type or encoding):
            properties = _properties(PacketTypes.PUBLISH)
            if content_type:
                properties.ContentType = content_type
            if encoding:
                properties.UserProperty = ("content-encoding", encoding)
        if self._lost.done():
            raise self._lost.result()
        return self._client.publish(topic, payload, 1, retain, properties).mid

    async def subscribe(self, topics: list[str]) -> None:
        """Subscribe at QoS 1 and wait for the SUBACK. Raises :class:`LinkLost`."""
        from paho.mqtt.subscribeoptions import SubscribeOptions

        # Retain As Published: what the agent wrote itself must be told from what the broker had kept.
        wanted: Any = (
            [(topic, SubscribeOptions(qos=1, retainAsPublished=True)) for topic in topics]
            if self.five
            else [(topic, 1) for topic in topics]
        )
        _, mid = self._client.subscribe(wanted)
        answered = self._subscribed[mid] = self._loop.create_future()
        await asyncio.wait((answered, self._lost), timeout=_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise self._lost.result() if self._lost.done() else LinkLost(say("the broker does not answer"))

    async def close(self, timeout_s: float = 1.0) -> None:
        """Say goodbye (so that the broker drops the Will) and close."""
        if self._socket is not None and not self._lost.done():
            self._client.disconnect()
            await asyncio.wait((self._lost,), timeout=timeout_s)
        self.drop()

    def drop(self) -> None:
        """Close without a word: the broker will publish the Will."""
        self._break(LinkLost(say("the connection was closed")))

    def _break(self, reason: LinkLost) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)
        sock = self._socket
        if sock is not None:
            self._detach()
            sock.close()

    def _detach(self) -> None:
        """Let the event loop go of the socket."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _read(self) -> None:
        self._heard = self._loop.time()
        self._client.loop_read()
        # A TLS record may hold more packets than paho reads at a time, and select() does not see them.
        while self._socket is not None and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            self._client.loop_read()

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
            self._break(_refusal(code))
            return
        if self.five:
            self.limits = Limits(
                getattr(properties, "ReceiveMaximum", 65_535), getattr(properties, "MaximumPacketSize", 268_435_455)
            )
            self.keepalive_s = getattr(properties, "ServerKeepAlive", self.keepalive_s)
        if not self._connected.done():
            self._connected.set_result(None)

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if flags.is_disconnect_packet_from_server and code.value == 0x8E:
            self._break(TakenOver(say("another client with the same id has connected")))
        elif flags.is_disconnect_packet_from_server:
            self._break(LinkLost(say("the broker ended the session: {reason}", reason=code)))
        else:
            kind = LinkLost if self._connected.done() else Unanswered
            self._break(kind(say("the broker closed the connection")))

    def _on_publish(self, client: Client, userdata: Any, mid: int, code: ReasonCode, properties: Any) -> None:
        self.on_ack(mid, code.value if code.is_failure else 0)

    def _on_subscribe(self, client: Client, userdata: Any, mid: int, codes: Any, properties: Any) -> None:
        answered = self._subscribed.pop(mid, None)
        if answered is not None and not answered.done():
            answered.set_result(None)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self.on_message(Message(message.topic, bytes(message.payload), message.retain))


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _refusal(code: ReasonCode) -> LinkLost:
    if code.value == _UNSUPPORTED_VERSION:
        return WrongVersion(say("the broker does not speak this version of MQTT"))
    if code.value in (0x86, 0x87, 0x8C):
        return Refused(say("the broker refused the login: check username, password_file and the certificate"))
    if code.value in (0x85, 0x8A):
        return Refused(say("the broker refused this gateway: {reason}", reason=code))
    return LinkLost(say("the broker is not ready: {reason}", reason=code))


async def connect(
    settings: Broker, url: str, client_id: str, will: Will | None, five: bool, probe: bool = False,
    password: str | None = None,
) -> Link:  # fmt: skip
    """Open a connection to one broker, with a clean start. ``probe``: whether it speaks MQTT 5 is not known.
    ``password``: instead of the one in ``password_file``.

    Raises :class:`LinkLost`, :class:`Refused` or :class:`WrongVersion`; the text is one clear line.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    client = _client(settings, parts.scheme == "mqtts", client_id, will, five, password)
    link = Link(client, five, settings.keepalive_s)
    # DNS, TCP and TLS block: off the loop. With a write callback set, paho writes nothing in that thread.
    client.on_socket_register_write = lambda *_: None
    worker = Worker("connect")
    try:
        await worker.call(lambda: _open(client, host, port, settings.keepalive_s, five), _CONNECT_S)
    except Overdue:
        raise NotReached(say("no answer from {host}:{port}", host=host, port=port)) from None
    except OSError as error:
        raise NotReached(_why(error, host, port)) from error
    finally:
        worker.close()
    link.attach()
    try:
        await link.connected(_PROBE_S if probe else _CONNECT_S)
    except BaseException:
        link.drop()
        raise
    return link


def _client(settings: Broker, tls: bool, client_id: str, will: Will | None, five: bool, password: str | None) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if five else True,
        protocol=MQTTv5 if five else MQTTv311,
        reconnect_on_failure=False,
    )
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    client.connect_timeout = _CONNECT_S / 2
    try:
        if settings.username:
            client.username_pw_set(settings.username, password or _secret(settings.password_file))
        if tls:
            client.tls_set_context(_tls(settings))
    except (OSError, ValueError) as error:
        file = getattr(error, "filename", None) or settings.cert_file or settings.ca_file
        raise NotReached(say("{file} cannot be used: {error}", file=file, error=_text(error))) from error
    if will is not None:
        client.will_set(will.topic, will.payload, qos=1, retain=True)
    return client


def _open(client: Client, host: str, port: int, keepalive_s: int, five: bool) -> None:
    properties = None
    if five:
        properties = _properties(PacketTypes.CONNECT)
        properties.MaximumPacketSize = _MAX_INCOMING_BYTES
    client.connect(host, port, keepalive_s, properties=properties)
    sock = client.socket()
    if sock is not None:
        # Without it, small messages wait for the acknowledgement of the ones before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[attr-defined]


def local_file(name: str) -> Path:
    """A file named by the configuration: a path, or the name of a systemd credential."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and "/" not in name and (Path(folder) / name).exists():
        return Path(folder) / name
    return Path(name)


def _secret(name: str) -> str | None:
    return local_file(name).read_text().rstrip("\r\n") if name else None


def _tls(settings: Broker) -> ssl.SSLContext:
    """The context for a connection. Raises :class:`OSError` with the file's name, or :class:`ValueError`."""
    for name in filter(None, (settings.ca_file, settings.cert_file, settings.key_file)):
        local_file(name).open("rb").close()  # ssl would not say which file it could not read
    context = ssl.create_default_context(
        cafile=str(local_file(settings.ca_file)) if settings.ca_file else None, cadata=settings.ca_pem or None
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file:
        key = local_file(settings.key_file) if settings.key_file else None
        context.load_cert_chain(local_file(settings.cert_file), key, password="")
    return context


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _why(error: OSError, host: str, port: int) -> str:
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return say("the certificate of {where} is not accepted: {why}", where=where, why=error.verify_message)
    if isinstance(error, ssl.SSLError):
        return say("no TLS with {where}: {why}", where=where, why=error.reason or error)
    if isinstance(error, socket.gaierror):
        return say("the name {host} is not known (no network, or a wrong url)", host=host)
    if isinstance(error, ConnectionRefusedError):
        return say("nothing listens at {where}: is the broker running, is the port right?", where=where)
    if isinstance(error, TimeoutError):
        return say("no answer from {host}:{port}", host=host, port=port)
    return say("no connection to {where}: {why}", where=where, why=_text(error))
