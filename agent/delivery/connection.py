"""The vocabulary of an MQTT connection: errors, by how to respond to them, and small values."""

from dataclasses import dataclass
from typing import NamedTuple


class ConnectionLost(Exception):
    """There is no connection (any more); the text is the reason, for people. Retry with increasing delays."""


class BrokerUnreachable(ConnectionLost):
    """The broker received nothing: it cannot hold a Will from this attempt."""


class ConnectionRefusedByBroker(ConnectionLost):
    """The broker refused the connection (login, identifier, ban): retrying soon will not help."""


class UnsupportedVersion(ConnectionLost):
    """The broker does not support this version of MQTT. Try another one."""


class NoConnack(ConnectionLost):
    """The connection ended without a CONNACK: some brokers respond to an unknown MQTT version by closing, or not at
    all."""


class SessionTakenOver(ConnectionLost):
    """The broker gave the session to another client with the same id. Stay away for a while."""


class Message(NamedTuple):
    """A message received through a subscription."""

    topic: str
    payload: bytes
    retain: bool


class Will(NamedTuple):
    """The message that the broker publishes, retained, when the connection breaks."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """The broker's limits: unacknowledged messages, and bytes of one packet."""

    receive_maximum: int = 65_535
    packet_bytes: int = 268_435_455
