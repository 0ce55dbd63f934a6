"""The gateway's identity: its topics and the messages about itself."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent.base.reading import Stamp
from agent.delivery import wire
from agent.delivery.connection import Will
from agent.store.stream_account import StreamAccount

_MAX_RECENT_STATES = 32


class Description:
    """The content of ``meta``: the sensors in the bytes that are sent, and the fields around them."""

    def __init__(self, sensors: Mapping[str, Any], gateway: Mapping[str, Any], site: Mapping[str, Any]) -> None:
        self.sensors = wire.sensors_object(sensors)
        self.meta_hash = wire.meta_hash(self.sensors)
        self._gateway = gateway
        self._site = site

    def message(self, sensors: bytes) -> bytes:
        """Return the ``meta`` message with this or an older ``sensors`` object."""
        return wire.meta(sensors, self._gateway, self._site)


class GatewayIdentity:
    """Builds the gateway's own messages. ``gen`` counts sessions; the uplink increments it before each."""

    def __init__(
        self, topics: wire.Topics, description: Description, agent: str, boot_id: str, now: Callable[[], Stamp]
    ) -> None:
        self.topics = topics
        self.description = description
        self.gen = 0
        self._agent = agent
        self._boot_id = boot_id
        self._now = now
        self._recent_states: deque[bytes] = deque(maxlen=_MAX_RECENT_STATES)

    def state(self, epoch: str, online: bool, reason: str) -> bytes:
        """Return the ``state`` message of this session."""
        state = wire.state(online, self.gen, epoch, self._boot_id, self._agent, self._now().t, reason)
        self._recent_states.append(state)
        return state

    def is_own(self, state: bytes) -> bool:
        """Return whether this process recently created this ``state`` message or Will."""
        return state in self._recent_states

    def will(self, epoch: str) -> Will:
        """Return the message that the broker publishes for us when the connection breaks."""
        return Will(self.topics.state, self.state(epoch, online=False, reason="lwt"))

    def meta(self) -> bytes:
        """Return the ``meta`` message."""
        return self.description.message(self.description.sensors)

    def streams(self, epoch: str, accounts: Mapping[str, StreamAccount]) -> bytes:
        """Return the ``streams`` message: the numbers of the current epoch, and the ended epochs that are still
        open."""
        numbers = {
            name: wire.stream_numbers(
                account.first(epoch), account.low_water(epoch), account.next, account.ended_epochs()
            )
            for name, account in sorted(accounts.items())
        }
        return wire.streams(epoch, self._now().t, numbers)
