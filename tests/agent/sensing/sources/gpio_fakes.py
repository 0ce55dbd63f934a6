"""Lines whose edges a test makes, and decoders for them."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent.sensing.sensor_errors import PortLost
from agent.sensing.sources.gpio import LineRequest
from drivers.sdk.contract import Field, Item, Measurement
from drivers.sdk.edges import EdgeDecoderBase
from drivers.sdk.gpio import Edge, GpioDriver
from tests.agent.sensing.fakes import FakeTime
from tests.agent.sensing.sources.bench import Bench


class Change(NamedTuple):
    """A change of a line."""

    at_s: float
    role: str
    level: int
    lost: int = 0


class Lines:
    """Lines whose edges the test makes. Their clock is the fake time."""

    def __init__(self, time: FakeTime, levels: Mapping[str, int]) -> None:
        self._time = time
        self._levels = levels
        self._edges: deque[Change] = deque()
        self._news = asyncio.Event()
        self.waits_s: list[float] = []
        self.gone = self.closed = self.stuck = False

    def levels(self) -> Mapping[str, int]:
        return self._levels

    def now_s(self) -> float:
        return self._time.now_s()

    def drive(self, level: int) -> None:
        if self.gone:
            raise PortLost("the chip is gone")
        if not self.stuck:
            self._levels = dict.fromkeys(self._levels, level)

    def change(self, *edges: Change) -> None:
        self._edges.extend(edges)
        self._news.set()

    async def edges(self, timeout_s: float) -> Sequence[Change]:
        self.waits_s.append(timeout_s)
        if timeout_s > 0:
            await self._time.wait(self._news, timeout_s)
        self._news.clear()
        if self.gone:
            raise PortLost("the chip is gone")
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def close(self) -> None:
        self.closed = True


class Ports:
    """One chip, which may be absent."""

    def __init__(self, time: FakeTime) -> None:
        self._time = time
        self.requests: list[tuple[str, Mapping[str, LineRequest], int | None]] = []
        self.lines: list[Lines] = []
        self.absent = False

    def open_lines(self, chip: str, lines: Mapping[str, LineRequest], output: int | None) -> Lines:
        if self.absent:
            raise PortLost("GPIO chip gpiochip0 does not exist")
        self.requests.append((chip, lines, output))
        self.lines.append(Lines(self._time, dict.fromkeys(lines, 1)))
        return self.lines[-1]


class Counter(EdgeDecoderBase):
    """Counts rising edges and tells each change as an event."""

    def __init__(self) -> None:
        self.count = 0
        self.dropped = 0

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        return [Measurement({"state": bool(levels["line"])})]

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        self.count += sum(edge.level for edge in edges)
        return [Measurement({"count": self.count}, event="on" if edge.level else "off") for edge in edges]

    def lost(self, line: str, count: int) -> list[Item]:
        self.dropped += count
        return []

    def sample(self, at_s: float) -> list[Item]:
        return [Measurement({"count": self.count})]

    def totals(self) -> Mapping[str, int]:
        return {"count": self.count}

    def restore(self, totals: Mapping[str, int]) -> None:
        self.count = totals.get("count", 0)


class Pulse(EdgeDecoderBase):
    """Tells an edge half a second later, if no other one comes."""

    def __init__(self) -> None:
        self._at_s: float | None = None

    @property
    def due_s(self) -> float | None:
        return None if self._at_s is None else self._at_s + 0.5

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        self._at_s = edges[-1].at_s
        return []

    def tick(self, at_s: float) -> list[Item]:
        self._at_s = None
        return [Measurement({"state": True}, event="seen")]


def contact(**more: Any) -> GpioDriver:
    fields = {"state": Field(kind="state"), "count": Field("count", kind="counter")}
    settings: dict[str, Any] = {
        "name": "contact",
        "title": "",
        "source": "",
        "fields": fields,
        "period_s": 0.0,
        "edges": lambda options: Counter(),
        "inline": True,
    }
    return GpioDriver(**{**settings, **more})


async def start(bench: Bench, driver: GpioDriver | None = None, **settings: Any) -> Any:
    return await bench.start(driver or contact(), **{"chip": "gpiochip0", "line": "GPIO17", **settings})


async def change(bench: Bench, *edges: Change) -> None:
    bench.ports.lines[-1].change(*edges)
    await bench.time.settle()
