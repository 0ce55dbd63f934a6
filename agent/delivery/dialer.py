"""Opens the next connection: chooses the broker, the MQTT version and the Will."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from agent.config.settings import Broker
from agent.delivery.connection import (
    BrokerUnreachable,
    ConnectionLost,
    ConnectionRefusedByBroker,
    NoConnack,
    UnsupportedVersion,
    Will,
)
from agent.delivery.identity import GatewayIdentity

LinkT = TypeVar("LinkT")
Connect = Callable[[str, Will, bool, bool], Awaitable[LinkT]]
"""Opens a connection: url, Will, whether to use MQTT 5, and whether that is a guess. Raises :class:`ConnectionLost` and
its subclasses."""


class Dialer(Generic[LinkT]):
    """Opens connections to the brokers in turn. ``generation``: returns the next session number, which is durable
    then."""

    def __init__(
        self, broker: Broker, connect: Connect[LinkT], identity: GatewayIdentity, generation: Callable[[], int]
    ) -> None:
        self._urls = broker.urls
        self._auto = broker.protocol == "auto"
        self._connect = connect
        self._identity = identity
        self._generation = generation
        self._mqtt5 = broker.protocol != "3.1.1"
        self._guessing = self._auto
        self._attempts = 0
        self._succeeded = False
        self._will_sent = True

    def attempt_ended(self) -> None:
        """Record that an attempt or a session ended: the next broker is tried, or the first one after a good
        session."""
        self._attempts = 0 if self._succeeded else self._attempts + 1
        self._succeeded = False

    def session_succeeded(self) -> None:
        """Record a good session: the next connection starts with the first broker."""
        self._attempts, self._succeeded = 0, True

    async def open(self, epoch: str) -> LinkT:
        """Connect. ``epoch``: the epoch named in the Will. Raises :class:`ConnectionLost`."""
        url = self._urls[self._attempts % len(self._urls)]
        if self._will_sent:
            # Durable before the Will is sent: a late Will of an earlier session is recognized by its lower number.
            self._identity.gen = self._generation()
            self._will_sent = False
        try:
            link = await self._dial(url, self._identity.will(epoch))
        except (BrokerUnreachable, ConnectionRefusedByBroker, UnsupportedVersion):
            raise
        except ConnectionLost:
            self._will_sent = True
            raise
        self._will_sent = True
        return link

    async def _dial(self, url: str, will: Will) -> LinkT:
        """Connect with the known version, or guess: 5 first, then 3.1.1, alternating."""
        try:
            link = await self._connect(url, will, self._mqtt5, self._guessing and self._mqtt5)
        except UnsupportedVersion:
            if not self._auto:
                raise
            self._mqtt5 = not self._mqtt5
            link = await self._connect(url, will, self._mqtt5, False)
        except NoConnack:
            if self._guessing:
                self._mqtt5 = not self._mqtt5
            raise
        self._guessing = False
        return link
