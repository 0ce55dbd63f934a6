"""Opens the next connection: which broker, which version of MQTT, with which Will."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from agent.config.settings import Broker
from agent.delivery.connection import (
    ConnectionLost,
    ConnectionRefusedByBroker,
    NotReached,
    Unanswered,
    Will,
    WrongVersion,
)
from agent.delivery.identity import GatewayIdentity

LinkT = TypeVar("LinkT")
Connect = Callable[[str, Will, bool, bool], Awaitable[LinkT]]
"""Open a connection: url, Will, whether to speak MQTT 5, whether that is a guess. Raises :class:`ConnectionLost` and
its kinds."""


class Dialer(Generic[LinkT]):
    """``generation``: gives the next number of a session, which is durable then."""

    def __init__(
        self, broker: Broker, connect: Connect[LinkT], presence: GatewayIdentity, generation: Callable[[], int]
    ) -> None:
        self._urls = broker.urls
        self._auto = broker.protocol == "auto"
        self._connect = connect
        self._presence = presence
        self._generation = generation
        self._five = broker.protocol != "3.1.1"
        self._guessing = self._auto
        self._tries = 0
        self._good = False
        self._will_is_out = True

    def failed(self) -> None:
        """A try, or a session, has ended: the next broker has its turn, or the first one after a good session."""
        self._tries = 0 if self._good else self._tries + 1
        self._good = False

    def worked(self) -> None:
        """A session was good: after it, begin with the first broker."""
        self._tries, self._good = 0, True

    async def open(self, epoch: str) -> LinkT:
        """Connect; ``ep``: the epoch that the Will names. Raises :class:`ConnectionLost`."""
        url = self._urls[self._tries % len(self._urls)]
        if self._will_is_out:
            # Durable before the Will goes out: a late Will of an earlier session must be known by its lower number.
            self._presence.gen = self._generation()
            self._will_is_out = False
        try:
            link = await self._dial(url, self._presence.will(epoch))
        except (NotReached, ConnectionRefusedByBroker, WrongVersion):
            raise
        except ConnectionLost:
            self._will_is_out = True
            raise
        self._will_is_out = True
        return link

    async def _dial(self, url: str, will: Will) -> LinkT:
        """Connect in the version that is known, or guessed: 5 first, then 3.1.1, by turns."""
        try:
            link = await self._connect(url, will, self._five, self._guessing and self._five)
        except WrongVersion:
            if not self._auto:
                raise
            self._five = not self._five
            link = await self._connect(url, will, self._five, False)
        except Unanswered:
            if self._guessing:
                self._five = not self._five
            raise
        self._guessing = False
        return link
