"""Waits for what a gateway reports of its updates."""

from abc import ABC, abstractmethod
from typing import Any

from tests.support.agent_process import AgentProcess
from tests.support.mosquitto import PATIENCE_S, until


class UpdateReports(ABC):
    """A gateway, seen from its broker. ``agent`` is its process."""

    agent: AgentProcess

    @property
    @abstractmethod
    def reported(self) -> dict[str, Any]:
        """The newest ``config/reported``; empty before the first."""

    async def report(self, version: int, state: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for a report of this version and state; give it."""

        def there() -> bool:
            return (self.reported.get("version"), self.reported.get("state")) == (version, state)

        try:
            await until(there, timeout_s)
        except TimeoutError:
            raise AssertionError(f"{self.reported} {self.agent.lines}") from None
        return self.reported
