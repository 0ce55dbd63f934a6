"""The interfaces of delivery to the store and to a connection, and the state shared by all connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from agent.base.reading import Row
from agent.config.settings import Publish
from agent.delivery.clocks import Clocks
from agent.delivery.connection import Limits
from agent.delivery.identity import GatewayIdentity
from agent.delivery.live_lane import LiveLane
from agent.delivery.policies import clock_hold
from agent.delivery.timings import DeliveryTimings

ReadRange = tuple[str, int, int, int]
"""A stream, the first number, the number after the last, and the maximum number of rows."""


class Store(clock_hold.Store, Protocol):
    """The part of the store that delivery uses."""

    async def read(self, ranges: Sequence[ReadRange]) -> list[list[Row]]: ...
    async def description(self, meta_hash: str) -> bytes: ...
    def settle(self, stream: str, start: int, stop: int) -> None: ...
    def announce(self, row: Mapping[str, object]) -> None: ...


class Connection(Protocol):
    """The part of a connection that delivery uses."""

    limits: Limits

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, content_type: str = "", encoding: str = ""
    ) -> int: ...


StoreT = TypeVar("StoreT", bound=Store, covariant=True)


@dataclass(frozen=True, slots=True)
class DeliveryContext(Generic[StoreT]):
    """Shared by the connections of one uplink. ``lane``: the state that outlives a connection."""

    store: StoreT
    lane: LiveLane
    identity: GatewayIdentity
    settings: Publish
    timings: DeliveryTimings
    clocks: Clocks
