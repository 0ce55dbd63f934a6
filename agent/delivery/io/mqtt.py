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
from agent.delivery.connection import BrokerUnreachable, Will
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
"""Timeout for the CONNACK if MQTT 5 is a guess: a broker that cannot parse it may wait for bytes that never come."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}


async def connect(
    settings: Broker,
    url: str,
    client_id: str,
    will: Will | None,
    mqtt5: bool,
    probe: bool = False,
    password: str | None = None,
) -> MqttConnection:
    """Open a connection to one broker, with a clean start. ``probe``: whether the broker supports MQTT 5 is unknown.
    ``password``: replaces the one in ``password_file``.

    Raises :class:`ConnectionLost`, :class:`ConnectionRefusedByBroker` or :class:`UnsupportedVersion`; the text is one
    clear line.
    """
    tls, host, port = _address(url)
    client = _client(settings, tls, client_id, will, mqtt5, password)
    link = MqttConnection(client, mqtt5, settings.keepalive_s)
    # DNS, TCP and TLS block, so run them in a thread. With a write callback set, paho writes nothing in that thread.
    client.on_socket_register_write = lambda *_: None
    worker = Worker("connect")
    try:
        await worker.call(lambda: _open(client, host, port, settings.keepalive_s, mqtt5), CONNECT_S)
    except CallTimeout:
        raise BrokerUnreachable(_("no answer from {host}:{port}").format(host=host, port=port)) from None
    except OSError as error:
        raise BrokerUnreachable(why_not_reached(error, host, port)) from error
    except ValueError as error:  # Python's error for an impossible host name
        raise BrokerUnreachable(
            _("cannot resolve the name {host} (no network, or a wrong url)").format(host=host)
        ) from error
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
    """Return whether the url uses TLS, its host and its port. Raises :class:`BrokerUnreachable`."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "mqtts", parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, LookupError) as error:
        raise BrokerUnreachable(_("{url} is not the address of a broker").format(url=one_line(url))) from error


def _client(
    settings: Broker, tls: bool, client_id: str, will: Will | None, mqtt5: bool, password: str | None
) -> BoundedClient:
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if mqtt5 else True,
        protocol=MQTTv5 if mqtt5 else MQTTv311,
        reconnect_on_failure=False,
    )
    client.packets = PacketFilter(MAX_INCOMING_BYTES, mqtt5)
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
        raise BrokerUnreachable(_("cannot use {file}: {error}").format(file=file, error=text_of(error))) from error
    if will is not None:
        properties = None
        if mqtt5:
            properties = properties_of(PacketTypes.WILLMESSAGE)
            properties.ContentType = CONTENT_TYPES["json"]
        client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
    return client


def _open(client: Client, host: str, port: int, keepalive_s: int, mqtt5: bool) -> None:
    properties = None
    if mqtt5:
        properties = properties_of(PacketTypes.CONNECT)
        properties.MaximumPacketSize = MAX_INCOMING_BYTES
    client.connect(host, port, keepalive_s, properties=properties)
    sock = client.socket()
    if sock is not None:
        # Otherwise small messages wait for the acknowledgement of earlier ones.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[attr-defined]
