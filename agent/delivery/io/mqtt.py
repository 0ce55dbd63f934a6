"""Opens connections to MQTT brokers."""

import socket
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes

from agent.base.display import one_line
from agent.base.errors import CallTimeout
from agent.base.i18n import _
from agent.base.io.worker import Worker
from agent.config.io.credentials import secret, tls_context
from agent.config.settings import Broker
from agent.delivery.connection import NotReached, Will
from agent.delivery.io.broker_errors import text_of, why_not_reached
from agent.delivery.io.mqtt_connection import (
    CONNECT_S,
    MAX_INCOMING_BYTES,
    BoundedClient,
    MqttConnection,
    properties_of,
)
from agent.delivery.policies.mqtt_packets import PacketFilter
from agent.delivery.wire import CONTENT_TYPES

__all__ = ["MqttConnection", "connect"]

_PROBE_S = 4.0
"""For the CONNACK where MQTT 5 is only a guess: a broker that cannot read it may wait for bytes that never come."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}


async def connect(
    settings: Broker,
    url: str,
    client_id: str,
    will: Will | None,
    five: bool,
    probe: bool = False,
    password: str | None = None,
) -> MqttConnection:
    """Open a connection to one broker, with a clean start. ``probe``: whether it speaks MQTT 5 is not known.
    ``password``: instead of the one in ``password_file``.

    Raises :class:`ConnectionLost`, :class:`ConnectionRefusedByBroker` or :class:`WrongVersion`; the text is one clear
    line.
    """
    tls, host, port = _address(url)
    client = _client(settings, tls, client_id, will, five, password)
    link = MqttConnection(client, five, settings.keepalive_s)
    # DNS, TCP and TLS block: off the loop. With a write callback set, paho writes nothing in that thread.
    client.on_socket_register_write = lambda *_: None
    worker = Worker("connect")
    try:
        await worker.call(lambda: _open(client, host, port, settings.keepalive_s, five), CONNECT_S)
    except CallTimeout:
        raise NotReached(_("no answer from {host}:{port}").format(host=host, port=port)) from None
    except OSError as error:
        raise NotReached(why_not_reached(error, host, port)) from error
    except ValueError as error:  # what Python makes of a name that no host can have
        raise NotReached(_("cannot resolve the name {host} (no network, or a wrong url)").format(host=host)) from error
    finally:
        worker.close()
    link.attach()
    try:
        await link.connected(_PROBE_S if probe else CONNECT_S)
    except BaseException:
        link.drop()
        raise
    return link


def _address(url: str) -> tuple[bool, str, int]:
    """Whether the url asks for TLS, its host and its port. Raises :class:`NotReached`."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "mqtts", parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, LookupError) as error:
        raise NotReached(_("{url} is not the address of a broker").format(url=one_line(url))) from error


def _client(
    settings: Broker, tls: bool, client_id: str, will: Will | None, five: bool, password: str | None
) -> BoundedClient:
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if five else True,
        protocol=MQTTv5 if five else MQTTv311,
        reconnect_on_failure=False,
    )
    client.packets = PacketFilter(MAX_INCOMING_BYTES, five)
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    client.connect_timeout = CONNECT_S / 2
    try:
        if settings.username:
            client.username_pw_set(settings.username, password or secret(settings.password_file))
        if tls:
            client.tls_set_context(tls_context(settings))
    except (OSError, ValueError) as error:
        file = getattr(error, "filename", None) or settings.cert_file or settings.ca_file
        raise NotReached(_("cannot use {file}: {error}").format(file=file, error=text_of(error))) from error
    if will is not None:
        properties = None
        if five:
            properties = properties_of(PacketTypes.WILLMESSAGE)
            properties.ContentType = CONTENT_TYPES["json"]
        client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
    return client


def _open(client: Client, host: str, port: int, keepalive_s: int, five: bool) -> None:
    properties = None
    if five:
        properties = properties_of(PacketTypes.CONNECT)
        properties.MaximumPacketSize = MAX_INCOMING_BYTES
    client.connect(host, port, keepalive_s, properties=properties)
    sock = client.socket()
    if sock is not None:
        # Without it, small messages wait for the acknowledgement of the ones before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[attr-defined]
