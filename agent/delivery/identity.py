"""Who this gateway is to the city: its topics and the messages about itself."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent.base.reading import Stamp
from agent.delivery import wire
from agent.delivery.connection import Will
from agent.store.stream_account import StreamAccount

_OWN_STATES = 32


class Description:
    """What ``meta`` says: the sensors in the bytes that are sent, and what stands around them."""

    def __init__(self, sensors: Mapping[str, Any], gateway: Mapping[str, Any], site: Mapping[str, Any]) -> None:
        self.sensors = wire.sensors_object(sensors)
        self.meta_hash = wire.meta_hash(self.sensors)
        self._gateway = gateway
        self._site = site

    def message(self, sensors: bytes) -> bytes:
        """The ``meta`` message of this or an older ``sensors`` object."""
        return wire.meta(sensors, self._gateway, self._site)


class GatewayIdentity:
    """``gen`` counts sessions; it is raised by the uplink before each."""

    def __init__(
        self, topics: wire.Topics, description: Description, agent: str, boot_id: str, now: Callable[[], Stamp]
    ) -> None:
        self.topics = topics
        self.description = description
        self.gen = 0
        self._agent = agent
        self._bid = boot_id
        self._now = now
        self._said: deque[bytes] = deque(maxlen=_OWN_STATES)

    def state(self, epoch: str, online: bool, reason: str) -> bytes:
        """The ``state`` message of this session."""
        state = wire.state(online, self.gen, epoch, self._bid, self._agent, self._now().t, reason)
        self._said.append(state)
        return state

    def is_own(self, state: bytes) -> bool:
        """Whether this process made a ``state`` message, or a Will, lately."""
        return state in self._said

    def will(self, epoch: str) -> Will:
        """What the broker says for us when we are cut off."""
        return Will(self.topics.state, self.state(epoch, online=False, reason="lwt"))

    def meta(self) -> bytes:
        """The ``meta`` message."""
        return self.description.message(self.description.sensors)

    def streams(self, epoch: str, accounts: Mapping[str, StreamAccount]) -> bytes:
        """The ``streams`` message: where the numbers of the current epoch stand, and which ended ones are open."""
        numbers = {
            name: wire.stream_numbers(
                account.first(epoch), account.low_water(epoch), account.next, account.ended_epochs()
            )
            for name, account in sorted(accounts.items())
        }
        return wire.streams(epoch, self._now().t, numbers)
