"""The interface between a sensor's runner and its source, which supplies bytes, answers or edges."""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from agent.base.reading import Stamp
from agent.sensing.context import SensorLimits
from drivers.sdk.contract import Item

T = TypeVar("T")


class Feed(Protocol):
    """What a source needs from its runner. Times are monotonic seconds.

    :meth:`decode` and :meth:`call` raise :class:`~agent.sensing.sensor_errors.Stuck` if the function does not return.
    """

    limits: SensorLimits

    def now_s(self) -> float:
        """Return the current time."""

    def stamp(self) -> Stamp:
        """Return the current time for a measurement."""

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""

    async def pause(self, seconds: float) -> None:
        """Wait before the next request; a command that requests a measurement ends the wait."""

    async def wait_for_room(self) -> None:
        """Wait while the store has no room or the sensor is over its budget."""

    async def decode(self, step: Callable[[], T]) -> T:
        """Call driver code that only computes: on the event loop if the project vouches for it, otherwise in the
        sensor's own thread."""

    async def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """Call driver code that may block, in the sensor's own thread."""

    def post(self, function: Callable[[], None]) -> None:
        """Queue ``function`` in that thread; does not wait."""

    def opened(self) -> None:
        """Record that the port is open, which is enough for a device without a period."""

    def mark_working(self) -> None:
        """Record that the sensor works, even if it has nothing to report."""

    def record_data(self, size_bytes: int, items: int) -> None:
        """Record that bytes arrived, and how many items were found in them."""

    def handle(self, items: list[Item], stamp: Stamp, *, urgent: bool = False) -> int:
        """Publish items decoded from data received at ``stamp``. Return the number of measurements."""

    def report_lost_edges(self, count: int) -> None:
        """Report edges dropped by the kernel."""

    def silence_s(self) -> float:
        """Return how long the device may deliver nothing good before it is lost; infinite for one without a period."""

    def check_silence(self, *, reopen: bool = False) -> None:
        """Report the sensor as lost if nothing good has arrived for too long. With ``reopen``, raises
        :class:`~agent.sensing.sensor_errors.Silent` when the port should be reopened."""


class Source(Protocol):
    """The source of a sensor's measurements. ``place``: where the device is, for people. ``poll_s``: the polling
    interval; 0: it reports by itself. ``downsample_s``: one reading per interval is kept; 0: all."""

    @property
    def place(self) -> str: ...
    @property
    def poll_s(self) -> float: ...
    @property
    def downsample_s(self) -> float: ...

    async def run(self, feed: Feed) -> None:
        """Open the source and measure until it fails. Raises :class:`~agent.sensing.sensor_errors.SensorFailure`; any
        other exception is a fault of the driver."""


@runtime_checkable
class Output(Protocol):
    """A source that can also be set."""

    async def switch(self, on: bool, feed: Feed) -> None:
        """Set it. Raises :class:`LookupError` if it is not an output, or is not available now."""


class PollSchedule:
    """When to poll next: on a grid; missed polls (suspended computer) are not made up for."""

    def __init__(self, period_s: float, now_s: float) -> None:
        self._period_s = period_s
        self._next_s = now_s

    def pause_s(self, now_s: float, rest_s: float = 0.0) -> float:
        """Return the seconds until the next poll, at least ``rest_s``."""
        self._next_s = max(self._next_s + self._period_s, now_s + rest_s)
        return self._next_s - now_s
