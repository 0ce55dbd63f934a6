"""Fakes for the runner and its sources: time that a test moves, threads that hang, a port whose bytes a test writes."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from agent.base.errors import CallTimeout
from agent.base.reading import Stamp
from agent.sensing.context import SensorContext, SensorLimits
from agent.sensing.sensor_errors import PortLost
from drivers.sdk.contract import Item, LineSettings, Measurement, Rejected
from tests.agent.fakes import FakeStore

T = TypeVar("T")
_TURNS = 40
"""So many turns of the event loop are enough for everything that needs no time."""


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTime:
    """A clock that stands still until :meth:`advance`. ``slept``: what was asked of :meth:`sleep`."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self._now_s

    def mono_ms(self) -> int:
        return round(self._now_s * 1000)

    def stamp(self) -> Stamp:
        return Stamp(1_795_000_000_000 + self.mono_ms(), self.mono_ms(), 1)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (self._now_s + seconds, next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.wait(asyncio.Event(), seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event, for so long at most."""
        over = asyncio.Event()
        timer = self.call_later(seconds, over.set)
        waiting = [asyncio.ensure_future(one.wait()) for one in (event, over)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            for one in waiting:
                one.cancel()

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and what is due in it happen."""
        end_s = self._now_s + seconds
        await self.settle()
        while self._timers and self._timers[0][0] <= end_s + 1e-9:
            due_s, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self._now_s = max(self._now_s, due_s)
                timer.callback()
                await self.settle()
        self._now_s = end_s


class Hang(BaseException):
    """A function raises this where it would never return."""


class FakeWorker:
    """A thread: a function that raises :class:`Hang` is overdue after its time."""

    def __init__(self, time: FakeTime, name: str) -> None:
        self.name = name
        self.calls = 0
        self.posted: list[Callable[[], None]] = []
        self.closed = False
        self._time = time

    async def call(self, function: Callable[[], T], timeout_s: float | None = None) -> T:
        self.calls += 1
        await asyncio.sleep(0)
        try:
            return function()
        except Hang:
            await self._time.sleep(timeout_s or 0.0)
            raise CallTimeout(self.name) from None

    def post(self, function: Callable[[], None]) -> None:
        self.posted.append(function)
        function()

    def close(self) -> None:
        self.closed = True


class FullStore(FakeStore):
    """A store that has room only while ``has_room`` is set."""

    def __init__(self, time: FakeTime) -> None:
        super().__init__(time)  # type: ignore[arg-type]
        self.has_room = asyncio.Event()
        self.has_room.set()

    async def wait_for_room(self) -> None:
        await self.has_room.wait()


class FakeContext:
    """What sensors have in common; :attr:`context` is handed to a runner."""

    def __init__(self, **more: Any) -> None:
        self.time = FakeTime()
        self.store = FullStore(self.time)
        self.workers: list[FakeWorker] = []
        more = {"uniform": lambda low, high: high, "limits": SensorLimits(), **more}
        self.context = SensorContext(self.store, self.time.stamp, self._worker, self.time, **more)

    def _worker(self, name: str) -> FakeWorker:
        self.workers.append(FakeWorker(self.time, name))
        return self.workers[-1]

    def rows(self, stream: str = "telemetry/a") -> list[dict[str, Any]]:
        """What was stored in a stream."""
        return self.store.bodies(stream)

    def values(self) -> list[Any]:
        """The field ``x`` of the telemetry."""
        return [row["x"] for row in self.rows()]

    def events(self) -> list[tuple[str, Any]]:
        """The agent's own events: name and reason."""
        return [(str(row["ev"]), row.get("why")) for row in self.store.announced]


class Words:
    """A decoder: a number is a measurement, ``?`` a bad frame, ``.`` nothing, ``!`` makes it raise, ``z`` hang."""

    skipped = 0

    def __init__(self) -> None:
        self._rest = b""
        self.finished = 0
        self.times_s: list[float] = []
        """How long after the opening each chunk came."""

    def feed(self, chunk: bytes, at_s: float) -> list[Item]:
        self.times_s.append(at_s)
        *words, self._rest = (self._rest + chunk).split(b" ")
        items: list[Item] = []
        for word in words:
            if word == b"!":
                raise ValueError("a driver's own fault")
            if word == b"z":
                raise Hang
            if word != b".":
                items.append(Rejected("checksum") if word == b"?" else Measurement({"x": float(word)}))
        return items

    def finish(self, at_s: float) -> list[Item]:
        self.finished += 1
        self._rest = b""
        return []


class FakeLink:
    """An open port whose bytes the test writes; :meth:`unplug` takes it away. ``reply``: what a write is answered."""

    def __init__(self, time: FakeTime, line: LineSettings | None = None) -> None:
        self.line = line
        self.written: list[bytes] = []
        self.closed = False
        self.reply: Callable[[bytes], bytes] = lambda request: b""
        self._time = time
        self._chunks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._unplugged = False

    def say(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._news.set()

    def unplug(self) -> None:
        self._unplugged = True
        self._news.set()

    async def read(self, timeout_s: float) -> bytes:
        if not self._chunks and not self._unplugged:
            self._news.clear()
            if timeout_s > 0:
                await self._time.wait(self._news, timeout_s)
        if self._chunks:
            return self._chunks.popleft()
        if self._unplugged:
            raise PortLost("unplugged")
        return b""

    async def write(self, raw: bytes) -> None:
        self.written.append(raw)
        reply = self.reply(raw)
        if reply:
            self.say(reply)

    def close(self) -> None:
        self.closed = True
