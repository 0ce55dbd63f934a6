"""Decides where a driver's code runs, so that code that blocks delays only its own sensor."""

from collections.abc import Callable
from typing import TypeVar

from agent.base.errors import CallTimeout
from agent.base.i18n import _
from agent.sensing.context import SensorLimits, Worker
from agent.sensing.sensor_errors import Stuck
from drivers.sdk.contract import Driver

T = TypeVar("T")


class DriverIsolation:
    """One sensor's thread, started when first needed and abandoned when a call does not return.

    ``new_worker`` starts a thread.
    """

    def __init__(self, driver: Driver, new_worker: Callable[[], Worker], limits: SensorLimits) -> None:
        self._driver = driver
        self._new_worker = new_worker
        self._limits = limits
        self._worker: Worker | None = None
        self._stuck = 0

    @property
    def exhausted(self) -> bool:
        """True if the driver has abandoned so many threads that it must not be started again."""
        return self._stuck >= self._limits.max_stuck

    async def decode(self, step: Callable[[], T]) -> T:
        """Call code that only computes. Raises :class:`Stuck`, and whatever the code raises."""
        return step() if self._driver.inline else await self.call(step, self._limits.decode_s)

    async def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """Call code that may block, in the thread. Raises :class:`Stuck`, and whatever the code raises."""
        if self._worker is None:
            self._worker = self._new_worker()
        try:
            return await self._worker.call(function, timeout_s)
        except CallTimeout:
            self._worker = None
            self._stuck += 1
            text = _("driver {driver} did not return within {n:.0f} s").format(driver=self._driver.name, n=timeout_s)
            raise Stuck(text) from None

    def post(self, function: Callable[[], None]) -> None:
        """Call ``function`` in the thread, if there is one; does not wait."""
        if self._worker is not None:
            self._worker.post(function)

    def close(self) -> None:
        """Let the thread end after the calls already queued; does not wait."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
