"""A sensor and its task, which can be restarted."""

import asyncio
from collections.abc import Callable, Mapping

from agent.sensing.runner import SensorRunner


class RunningSensor:
    """A sensor and its task, which can be restarted."""

    def __init__(self, create: Callable[[], SensorRunner]) -> None:
        self._create = create
        self.sensor, self.task = self._start()

    def restart(self) -> None:
        """Stop the sensor and start it again."""
        self.task.cancel()
        self.sensor, self.task = self._start()

    def _start(self) -> tuple[SensorRunner, "asyncio.Task[None]"]:
        sensor = self._create()
        return sensor, asyncio.create_task(sensor.run(), name=f"sensor {sensor.health.sensor}")

    async def switch(self, on: bool) -> None:
        """Set an output. Raises :class:`LookupError`."""
        await self.sensor.switch(on)

    async def measure(self) -> Mapping[str, object]:
        """Return the next measurement."""
        return await self.sensor.measure()
