"""What the update package needs from the rest of the agent."""

from collections.abc import Mapping
from typing import Protocol

from agent.base import events
from agent.base.reading import Stamp
from agent.config.generation import Generation
from agent.config.parse import DriverLookup
from agent.config.resolve import ResolvedConfig
from agent.update.probation import Observation


class Clock(Protocol):
    """The system clock."""

    def now(self) -> Stamp:
        """Return the current time with its quality. Use ``mono_ms`` to measure durations."""

    @property
    def proven_ms(self) -> int:
        """The newest time of a synchronised clock, kept over restarts; 0 if there was none."""


class Catalog(DriverLookup, Protocol):
    """The installed drivers."""

    def stamp(self) -> object:
        """Return a value that differs after profiles or drivers have changed. Cheap."""


class LocalFiles(Protocol):
    """The current content of the gateway's own files. Raises :class:`~agent.base.errors.RejectedError`."""

    @property
    def name(self) -> str:
        """The name of the main file, for people."""

    def trust(self) -> bytes: ...
    def generation(self, payload: str | None) -> Generation: ...


class Runtime(Protocol):
    """Everything that runs under one configuration."""

    async def change(self, resolved: ResolvedConfig) -> object:
        """Run this configuration instead of the current one."""

    def observe(self) -> Observation:
        """Return how the sensors and the broker are doing."""

    def report(self, message: Mapping[str, object], rejected_edit: str) -> None:
        """Publish ``config/reported``. ``rejected_edit``: why the gateway's own files were rejected."""

    def report_health(self) -> None:
        """Send one of the agent's own readings at once."""


class Journal(Protocol):
    """Stores the agent's own events, and small values that survive a restart."""

    def announce(self, row: events.Row) -> None:
        """Store an event and send it."""

    def remember(self, name: str, value: str) -> None:
        """Store a small text under a name."""

    def recall(self, name: str) -> str:
        """Return the stored text; empty if there is none."""


def seconds(clock: Clock) -> float:
    """Return the monotonic time in seconds."""
    return clock.now().mono_ms / 1000
