"""A client for a test that asks a broker what it may do: blocking, MQTT 5, each answer as the broker gave it."""

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.pki import Issued

_ANSWER_S = 20.0


class Arrived(NamedTuple):
    """One message, as it came."""

    topic: str
    payload: bytes
    retained: bool


class TurnedAway(Exception):
    """The broker did not let the client in."""


class Caller:
    """``with Caller(…) as caller`` is connected, or :class:`TurnedAway` is raised.

    ``trusted``: the CA, for TLS; ``own``: the client's certificate; ``login``: user and password; ``will``: topic and
    payload; ``kept_s``: how long the broker shall keep the session.
    """

    def __init__(
        self,
        port: int,
        client_id: str,
        trusted: Path | None = None,
        own: Issued | None = None,
        login: tuple[str, str] | None = None,
        will: tuple[str, bytes] | None = None,
        kept_s: int = 0,
    ) -> None:
        self.arrived: list[Arrived] = []
        self.lost = threading.Event()
        self._port = port
        self._kept_s = kept_s
        self._changed = threading.Condition()
        self._answers: dict[int, int] = {}
        self._code: int | None = None
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, reconnect_on_failure=False)
        if trusted is not None:
            context = ssl.create_default_context(cafile=str(trusted))
            if own is not None:
                context.load_cert_chain(own.certificate, own.key)
            self._client.tls_set_context(context)
        if login is not None:
            self._client.username_pw_set(*login)
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        self._client.on_socket_open = _at_once
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = lambda _client, _userdata, mid, code, _properties: self._answer(mid, code.value)
        self._client.on_subscribe = lambda _client, _userdata, mid, codes, _properties: self._answer(mid, 0)
        self._client.on_unsubscribe = lambda _client, _userdata, mid, codes, _properties: self._answer(mid, 0)
        self._client.on_message = self._take

    def __enter__(self) -> "Caller":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._kept_s
        try:
            self._client.connect("127.0.0.1", self._port, clean_start=not self._kept_s, properties=properties)
        except OSError as error:
            raise TurnedAway(str(error)) from error
        self._client.loop_start()
        self._until(lambda: self._code is not None or self.lost.is_set())
        if self._code != 0:
            self._client.loop_stop()
            raise TurnedAway(f"reason {self._code}")
        return self

    def __exit__(self, *error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Be gone without a word, as after a power cut."""
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish at QoS 1, and do not wait for the broker."""
        self._client.publish(topic, payload, 1, retain)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> int:
        """Publish at QoS 1; give the reason code of the PUBACK. Raises :class:`TurnedAway` when it closes instead."""
        mid = self._client.publish(topic, payload, 1, retain).mid
        self._until(lambda: mid in self._answers or self.lost.is_set())
        if mid not in self._answers:
            raise TurnedAway("closed")
        return self._answers.pop(mid)

    def subscribe(self, *filters: str) -> None:
        """Subscribe at QoS 1, all in one packet, and wait for the answer, whatever it is."""
        _, mid = self._client.subscribe([(one, 1) for one in filters])
        assert mid is not None
        self._until(lambda: mid in self._answers)

    def unsubscribe(self, *filters: str) -> None:
        """End these subscriptions."""
        _, mid = self._client.unsubscribe(list(filters))
        assert mid is not None
        self._until(lambda: mid in self._answers)

    def wait_for(self, topic: str, payload: bytes) -> None:
        """Wait until this message has come."""
        self._until(lambda: self.has(topic, payload))

    def has(self, topic: str, payload: bytes) -> bool:
        """Whether this message has come."""
        return any((one.topic, one.payload) == (topic, payload) for one in self.arrived)

    def _until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, _ANSWER_S):
                raise TimeoutError("the broker did not answer")

    def _answer(self, mid: int, code: int) -> None:
        with self._changed:
            self._answers[mid] = code
            self._changed.notify_all()

    def _on_connect(self, client: Client, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        with self._changed:
            self._code = code.value
            self._changed.notify_all()

    def _on_disconnect(self, client: Client, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        with self._changed:
            self.lost.set()
            self._changed.notify_all()

    def _take(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        with self._changed:
            self.arrived.append(Arrived(message.topic, bytes(message.payload), message.retain))
            self._changed.notify_all()


def _at_once(client: Client, userdata: Any, sock: Any) -> None:
    """Without this, small packets wait for the acknowledgement of the ones before."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
