"""What all sensors of one configuration share: store, time, threads, and limits."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent.base.reading import Reading, Stamp
from agent.sensing.privacy import Mode
from drivers.sdk.contract import Measurement

T = TypeVar("T")


class Worker(Protocol):
    """A thread for code that may block. ``call`` raises :class:`~agent.base.errors.CallTimeout`."""

    async def call(self, function: Callable[[], T], timeout_s: float | None = None) -> T: ...
    def post(self, function: Callable[[], None]) -> None: ...
    def close(self) -> None: ...


class SensorStore(Protocol):
    """The part of the store that sensors use."""

    meta_hash: str

    @property
    def epoch(self) -> str: ...

    async def wait_for_room(self) -> None: ...
    def append(self, reading: Reading) -> None: ...
    def announce(self, row: Mapping[str, object]) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None: ...


class MonotonicTime(Protocol):
    """A clock that never steps, with timers."""

    def now_s(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...
    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer: ...


class LoopTime:
    """The event loop's :class:`MonotonicTime`. Create it while the loop runs."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = loop.time
        self._call_later = loop.call_later

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` after ``seconds``."""
        return self._call_later(seconds, callback)


@dataclass(frozen=True, slots=True)
class SensorLimits:
    """Time limits of a sensor.

    After ``missed_periods`` without a good frame, but at least ``silence_s``, a sensor is lost. ``stable_s``: after
    working for this long, the backoff starts over at the next failure. A backoff is the ceiling after the first
    failure, which doubles with each further failure, and the maximum ceiling.

    ``decode_s``: a decoder that needs longer for one step is stuck. ``max_stuck``: after leaving this many stuck
    threads, a driver is not started again.

    ``frame_gap_s``: a pause of this length ends a serial device's frame (USB adapters hold bytes back for less).
    ``reopen_s``: how often a silent port is reopened, because some adapters hang. ``rest_factor``: a Modbus unit that
    does not answer is asked again only after this many times its timeout, so that its silence costs the other units at
    most a tenth of the bus.
    """

    missed_periods: int = 3
    silence_s: float = 3.0
    stable_s: float = 10.0
    port_backoff_s: tuple[float, float] = (0.25, 4.0)
    driver_backoff_s: tuple[float, float] = (1.0, 60.0)
    decode_s: float = 5.0
    max_stuck: int = 3
    frame_gap_s: float = 0.25
    reopen_s: float = 30.0
    rest_factor: float = 10.0


@dataclass(frozen=True, slots=True)
class SensorContext:
    """Everything a sensor uses besides its driver and its port. ``stamp``: returns the current time for a measurement.
    ``worker``: starts a thread of this name. ``uniform``: draws from a range, to randomize waits. ``on_measurement``:
    called with each measurement as decoded, before any other step."""

    store: SensorStore
    stamp: Callable[[], Stamp]
    worker: Callable[[str], Worker]
    time: MonotonicTime
    privacy_mode: Mode = "hmac"
    privacy_key: bytes = b""
    limits: SensorLimits = SensorLimits()
    on_measurement: Callable[[Measurement, Stamp], None] | None = None
    uniform: Callable[[float, float], float] = random.uniform
