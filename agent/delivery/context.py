"""What delivery works with: the seams to the store and to a connection, and what all connections share."""

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

Wanted = tuple[str, int, int, int]
"""A stream, the first number, the one after the last, and how many rows at most."""


class Store(clock_hold.Store, Protocol):
    """What delivery needs of the store."""

    async def read(self, wanted: Sequence[Wanted]) -> list[list[Row]]: ...
    async def description(self, meta_hash: str) -> bytes: ...
    def settle(self, stream: str, start: int, stop: int) -> None: ...
    def announce(self, row: Mapping[str, object]) -> None: ...


class Connection(Protocol):
    """What delivery needs of a connection."""

    limits: Limits

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, content_type: str = "", encoding: str = ""
    ) -> int: ...


StoreT = TypeVar("StoreT", bound=Store, covariant=True)


@dataclass(frozen=True, slots=True)
class DeliveryContext(Generic[StoreT]):
    """What the connections of one uplink have in common. ``lane``: what outlives each of them."""

    store: StoreT
    lane: LiveLane
    presence: GatewayIdentity
    settings: Publish
    timings: DeliveryTimings
    clocks: Clocks
