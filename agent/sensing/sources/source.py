"""The seam between a sensor's runner and its source: where its bytes, answers or edges come from."""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from agent.base.reading import Stamp
from agent.sensing.context import SensorLimits
from drivers.sdk.contract import Item

T = TypeVar("T")


class Feed(Protocol):
    """What a source needs of its runner. Times are monotonic seconds.

    :meth:`decode` and :meth:`call` raise :class:`~agent.sensing.sensor_errors.Stuck` if the function does not return.
    """

    limits: SensorLimits

    def now_s(self) -> float:
        """The time."""

    def stamp(self) -> Stamp:
        """The time of what is measured now."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def pause(self, seconds: float) -> None:
        """Wait before the next question; a command that asks for a measurement cuts it short."""

    async def hold_back(self) -> None:
        """Wait for as long as the store has no room, or the sensor is over its budget."""

    async def decode(self, step: Callable[[], T]) -> T:
        """Call a driver's code that only computes: on the event loop where the project vouches for it, else in the
        sensor's own thread."""

    async def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """Call a driver's code that may block, in the sensor's own thread."""

    def post(self, function: Callable[[], None]) -> None:
        """Call ``function`` in that thread, after what waits there; does not wait."""

    def opened(self) -> None:
        """The port is open: enough for a device without a period."""

    def well(self) -> None:
        """The sensor works, though it may have nothing to say."""

    def heard(self, size_bytes: int, items: int) -> None:
        """Bytes came, and so many items were found in them."""

    def handle(self, items: list[Item], stamp: Stamp, *, urgent: bool = False) -> int:
        """Publish what was decoded from what came at ``stamp``. Gives the number of measurements."""

    def report_lost_edges(self, count: int) -> None:
        """Report edges that the kernel had to drop."""

    def silence_s(self) -> float:
        """How long the device may give nothing good before it is lost; infinite for one without a period."""

    def check_silence(self, *, reopen: bool = False) -> None:
        """Report the sensor as lost if nothing good has come for too long. With ``reopen``, raises
        :class:`~agent.sensing.sensor_errors.Silent` when it is time to open the port again."""


class Source(Protocol):
    """Where a sensor's measurements come from. ``place``: where the device is, for people. ``poll_s``: how often it is
    asked; 0: it speaks by itself. ``downsample_s``: one reading per this time is kept; 0: all."""

    @property
    def place(self) -> str: ...
    @property
    def poll_s(self) -> float: ...
    @property
    def downsample_s(self) -> float: ...

    async def run(self, feed: Feed) -> None:
        """Open it and take measurements until it fails. Raises :class:`~agent.sensing.sensor_errors.SensorFailure`;
        anything else that is raised is the driver's fault."""


@runtime_checkable
class Output(Protocol):
    """A source that can also be set."""

    async def switch(self, on: bool, feed: Feed) -> None:
        """Set it. Raises :class:`LookupError` where it is no output, or is not there now."""


class PollSchedule:
    """When to ask next: on a grid; what was missed (a suspended computer) is not made up for."""

    def __init__(self, period_s: float, now_s: float) -> None:
        self._period_s = period_s
        self._next_s = now_s

    def pause_s(self, now_s: float, rest_s: float = 0.0) -> float:
        """Seconds until the next question, at least ``rest_s``."""
        self._next_s = max(self._next_s + self._period_s, now_s + rest_s)
        return self._next_s - now_s
