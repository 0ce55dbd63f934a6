"""What following configurations needs of the rest of the agent."""

from collections.abc import Mapping
from typing import Protocol

from agent.base import events
from agent.base.reading import Stamp
from agent.config.generation import Generation
from agent.config.parse import DriverLookup
from agent.config.resolve import ResolvedConfig
from agent.update.probation import Observation


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> Stamp:
        """The time of this moment, with its quality; ``mono_ms`` is what durations are measured with."""

    @property
    def proven_ms(self) -> int:
        """The newest time of a synchronised clock, over restarts; 0 where there was none."""


class Catalog(DriverLookup, Protocol):
    """The drivers, and whether others have come."""

    def stamp(self) -> object:
        """Another value when profiles or drivers were changed. Cheap."""


class LocalFiles(Protocol):
    """The gateway's own files, as they are now. Raises :class:`~agent.base.errors.RejectedError`."""

    @property
    def name(self) -> str:
        """Of the main one, for people."""

    def trust(self) -> bytes: ...
    def generation(self, payload: str | None) -> Generation: ...


class Runtime(Protocol):
    """What runs under one configuration."""

    async def change(self, resolved: ResolvedConfig) -> object:
        """Run this configuration in place of the one before."""

    def observe(self) -> Observation:
        """How sensors and broker are now."""

    def report(self, message: Mapping[str, object], rejected_edit: str) -> None:
        """Publish what came of a configuration. ``rejected_edit``: why the gateway's own files were rejected."""

    def report_health(self) -> None:
        """Send a reading of the agent's own at once."""


class Journal(Protocol):
    """What keeps the agent's own events, and small texts over restarts."""

    def announce(self, row: events.Row) -> None:
        """Keep one and send it."""

    def remember(self, name: str, value: str) -> None:
        """Keep a small text."""

    def recall(self, name: str) -> str:
        """What was remembered; empty where there is nothing."""


def seconds(clock: Clock) -> float:
    """Monotonic seconds."""
    return clock.now().mono_ms / 1000
