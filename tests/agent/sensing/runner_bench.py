"""A runner over a source that the test writes."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from agent.config.settings import Sensor
from agent.sensing.runner import SensorRunner
from agent.sensing.sources.source import Feed
from drivers.sdk.contract import Driver, Field, Item, Measurement
from tests.agent.sensing.fakes import FakeContext, Words

Run = Callable[[Feed], Awaitable[None]]
KEY = bytes(32)


async def for_ever(feed: Feed) -> None:
    await asyncio.Event().wait()


class ScriptedSource:
    """A source whose runs the test writes: one after the other, and the last one again and again."""

    place = "/dev/a"

    def __init__(self, *runs: Run, poll_s: float = 0.0, downsample_s: float = 0.0) -> None:
        self.runs = deque(runs or (for_ever,))
        self.poll_s = poll_s
        self.downsample_s = downsample_s
        self.started = 0

    async def run(self, feed: Feed) -> None:
        self.started += 1
        run = self.runs.popleft() if len(self.runs) > 1 else self.runs[0]
        await run(feed)


class Switch(ScriptedSource):
    """A source that can be set."""

    on = False

    async def switch(self, on: bool, feed: Feed) -> None:
        self.on = on


def driver(**more: Any) -> Driver:
    settings: dict[str, Any] = {
        "name": "words",
        "title": "",
        "source": "",
        "fields": {"x": Field("Cel", resolution=0.1, max=100)},
        "period_s": 1.0,
        "decoder": lambda options: Words(),
        "inline": True,
    }
    return Driver(**{**settings, **more})


class Bench:
    """Runs one sensor over fakes."""

    def __init__(self) -> None:
        self.fakes = FakeContext(privacy_key=KEY)
        self.time = self.fakes.time
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self, source: ScriptedSource, used: Driver | None = None, **settings: Any) -> SensorRunner:
        used = used or driver()
        runner = SensorRunner(Sensor(id="a", driver=used.name, **settings), used, self.fakes.context, source)
        self.running = self.go(runner.run())
        await self.time.settle()
        return runner

    def go(self, work: Any) -> "asyncio.Task[Any]":
        self._tasks.append(asyncio.ensure_future(work))
        return self._tasks[-1]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def handle(self, runner: SensorRunner, *items: Item) -> int:
        return runner.handle(list(items), self.time.stamp())


def x(value: float, **more: Any) -> Measurement:
    return Measurement({"x": value}, **more)


def failing(error: Exception, after_s: float = 0.0) -> Run:
    async def run(feed: Feed) -> None:
        if after_s:
            await feed.sleep(after_s)
        raise error

    return run
