"""A runner with a real source over fake ports and fake time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from agent.config.settings import Sensor
from agent.sensing.factory import sensor_runner
from agent.sensing.runner import SensorRunner
from drivers.sdk.contract import Driver
from tests.agent.sensing.fakes import FakeContext, FakeTime


class Bench:
    """``ports``: what the source opens; the sensor is called ``a`` where the test gives no other ``id``."""

    def __init__(self, ports: Any, fakes: FakeContext) -> None:
        self.ports = ports
        self.fakes = fakes
        self.time = fakes.time
        self.tasks: list[asyncio.Task[Any]] = []

    @classmethod
    @asynccontextmanager
    async def over(cls, ports: Callable[[FakeTime], Any]) -> AsyncIterator[Self]:
        """A bench with ports of this kind; what it has started is stopped in the end."""
        fakes = FakeContext()
        bench = cls(ports(fakes.time), fakes)
        try:
            yield bench
        finally:
            await bench.stop()

    async def start(self, driver: Driver, **settings: Any) -> SensorRunner:
        sensor = Sensor(**{"id": "a", "driver": driver.name, **settings})
        runner = sensor_runner(sensor, driver, self.fakes.context, self.ports)
        self.go(runner.run())
        await self.time.settle()
        return runner

    def go(self, work: Any) -> "asyncio.Task[Any]":
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
