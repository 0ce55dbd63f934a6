"""What commands act on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.base.status import Status
from agent.store.stream_account import StreamAccount


class Store(Protocol):
    """What commands need from the store. ``remember`` and ``recall``: short texts by name, kept across restarts."""

    accounts: dict[str, StreamAccount]

    @property
    def durable(self) -> bool: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...
    async def flush(self) -> None: ...
    def unsettled(self) -> int: ...


class Uplink(Protocol):
    """What commands need from the uplink."""

    def send_again(self, stream: str, start: int, stop: int) -> None: ...


class Sensor(Protocol):
    """What commands need from a sensor."""

    async def measure(self) -> Mapping[str, Any]: ...
    def restart(self) -> None: ...
    async def switch(self, on: bool) -> None: ...


class Renewal(Protocol):
    """Renews the gateway's certificate. Raises :class:`~agent.base.errors.RejectedError`."""

    async def request(self) -> Mapping[str, str]: ...
    async def install(self, pem: str) -> int: ...


@dataclass(slots=True)
class CommandContext:
    """The running agent, as commands see it.

    ``status`` returns a snapshot of the agent. ``plan`` returns what the configuration in an envelope would change.
    ``sensors``: the running ones, by id. ``flush_requested``: set by ``flush``, cleared by the dispatcher.
    ``recent_resends``: (stream, first, end) -> loop time in seconds and result of what was sent again lately.
    """

    store: Store
    status: Callable[[], Status]
    plan: Callable[[bytes], Awaitable[object]]
    renewal: Renewal
    uplink: Uplink
    sensors: Mapping[str, Sensor]
    flush_requested: bool = False
    recent_resends: dict[tuple[str, int, int], tuple[float, Mapping[str, int]]] = field(default_factory=dict)

    def sensor(self, name: str) -> Sensor:
        """Return a running sensor. Raises :class:`LookupError`."""
        if name not in self.sensors:
            raise LookupError(f"there is no sensor {name}")
        return self.sensors[name]
