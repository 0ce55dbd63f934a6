"""What the agent and an MQTT connection say to each other: errors by the answer they call for, and small values."""

from dataclasses import dataclass
from typing import NamedTuple


class ConnectionLost(Exception):
    """There is no connection (any more); the text says why, for people. Try again, a little later each time."""


class NotReached(ConnectionLost):
    """Nothing was said to the broker: it can hold no Will of this try."""


class ConnectionRefusedByBroker(ConnectionLost):
    """The broker answered, and said no (login, identifier, ban): hurrying will not help."""


class WrongVersion(ConnectionLost):
    """The broker does not speak this version of MQTT. Try another one."""


class Unanswered(ConnectionLost):
    """There was a connection, but no CONNACK: some brokers answer an MQTT version that they do not know by closing,
    or not at all."""


class TakenOver(ConnectionLost):
    """The broker gave the session to another client with the same id. Keep away for a while."""


class Message(NamedTuple):
    """What a subscription brought."""

    topic: str
    payload: bytes
    retain: bool


class Will(NamedTuple):
    """What the broker shall publish, retained, when the connection breaks."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker allows: unacknowledged messages, and bytes of one packet."""

    receive_maximum: int = 65_535
    packet_bytes: int = 268_435_455
