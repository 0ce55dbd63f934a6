"""Runs one sensor: passes its measurements on, isolates its failures, and restarts it."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from typing import TypeVar

from tenacity import RetryCallState

from agent.base import events
from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.reading import Stamp
from agent.base.retry import retry_forever
from agent.base.status import SensorStatus
from agent.config.settings import Sensor
from agent.sensing.context import SensorContext, Timer
from agent.sensing.health import NO_FRAME, Health
from agent.sensing.isolation import DriverIsolation
from agent.sensing.pipeline import Pipeline, PipelineSettings
from agent.sensing.privacy import PrivacyFilter
from agent.sensing.sensor_backoff import backoff_s
from agent.sensing.sensor_errors import DriverFault, SensorFailure, Silent
from agent.sensing.sources.source import Output, Source
from agent.sensing.writer import ReadingWriter
from drivers.sdk.contract import Driver, Item, Measurement, Rejected

_log = logging.getLogger(__name__)
T = TypeVar("T")


class SensorRunner:
    """One configured sensor: a driver, and the source of its measurements.

    Decides everything that is the same for all sources: retry, loss and recovery, time-driven output (a tag that
    leaves), the budget, and where the driver's code runs. It is the source's
    :class:`~agent.sensing.sources.source.Feed`.

    ``proven``: the sensor has worked since it was started; for a device without a period, an open port is enough.
    """

    def __init__(self, settings: Sensor, driver: Driver, context: SensorContext, source: Source) -> None:
        self._settings = settings
        self._driver = driver
        self._store = context.store
        self._source = source
        self._time = context.time
        self.stamp = context.stamp
        self.limits = context.limits
        self._uniform = context.uniform
        self._on_measurement = context.on_measurement
        privacy = PrivacyFilter(driver.fields, context.privacy_mode, context.privacy_key, settings.personal)
        steps = PipelineSettings(settings.calibrate, source.downsample_s, driver.presence, privacy)
        self._pipeline = Pipeline(driver.fields, steps)
        self._writer = ReadingWriter(settings, context)
        self._isolation = DriverIsolation(driver, lambda: context.worker(f"sensor {settings.id}"), context.limits)
        self._period_s = source.poll_s or driver.period_s
        self._opened_s = self.now_s()
        self._last_logged = ""
        self._tick_timer: Timer | None = None
        self._wake = asyncio.Event()
        self._pending_measurement: asyncio.Future[Mapping[str, object]] | None = None
        self.proven = False
        self.health = Health(settings.id, self.now_s())

    async def run(self) -> None:
        """Keep the sensor running. Returns only if its driver must not be started again."""
        try:
            while not self._isolation.exhausted:
                await retry_forever(self._attempt, SensorFailure, self._wait_s, self._log_once, self._time.sleep)
            line = _("{sensor}: driver {driver} keeps hanging; stopped using it").format(
                sensor=self._settings.id, driver=self._driver.name
            )
            _log.error(line, extra=log_extra(LogCode.DRIVER_HANGS, self._settings.id))
        finally:
            if self._tick_timer is not None:
                self._tick_timer.cancel()
            self._writer.close()
            self._isolation.close()

    async def measure(self) -> Mapping[str, object]:
        """Return the next measurement; a polled device is asked at once."""
        if self._pending_measurement is None or self._pending_measurement.done():
            self._pending_measurement = asyncio.get_running_loop().create_future()
        self._wake.set()
        return await asyncio.shield(self._pending_measurement)

    async def switch(self, on: bool) -> None:
        """Set an output. Raises :class:`LookupError` if the sensor is not an output, or cannot be set now."""
        if not isinstance(self._source, Output):
            raise LookupError(f"{self._settings.id} is not an output")
        await self._source.switch(on, self)

    def status(self) -> SensorStatus:
        """Return the sensor's current status."""
        health = self.health
        why = self._last_logged if health.lost else ""
        last_good_s = self.now_s() - health.last_good_s()
        return SensorStatus(health.lost, why, health.frames, health.rejected, health.restarts, last_good_s)

    async def _attempt(self) -> None:
        """Run the source. Returns after a failure if it was stable before, so that the backoff starts over, and when
        the driver must not be started again."""
        if self._isolation.exhausted:
            return
        self._opened_s = began_s = self.now_s()
        try:
            await self._source.run(self)
        except SensorFailure as error:
            self._failed(error.why)
            if self.now_s() - began_s < self.limits.stable_s:
                raise
            self._log_once(error)
        except Exception as error:
            self._failed(DriverFault.why)
            _log.debug("driver %s raised", self._driver.name, exc_info=error)
            raise DriverFault(_fault(self._driver.name, error)) from error

    def _failed(self, why: str) -> None:
        self.health.restarts += 1
        self._announce(self.health.record_failure(why))

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        limits = self.limits
        ceiling_s = limits.driver_backoff_s if isinstance(error, DriverFault) else limits.port_backoff_s
        return backoff_s(ceiling_s, state.attempt_number, self._uniform)

    def _log_once(self, error: BaseException) -> None:
        """Log each new reason once: a sensor that stays broken is not logged again and again."""
        if str(error) != self._last_logged:
            self._last_logged = str(error)
            code = error.why if isinstance(error, SensorFailure) else "device"
            _log.warning("%s: %s", self._settings.id, error, extra=log_extra(code, self._settings.id))

    def _announce(self, row: events.Row | None) -> None:
        if row is not None:
            self._store.announce(row)

    # The interface for the source (agent.sensing.sources.source.Feed).

    def now_s(self) -> float:
        """Return monotonic seconds."""
        return self._time.now_s()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        await self._time.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        """Wait before the next request; a call of :meth:`measure` since the last one ends the wait, once."""
        timer = self._time.call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
            self._wake.clear()

    async def wait_for_room(self) -> None:
        """Wait for room in the store and in the budget."""
        await self._writer.wait_for_room()

    async def decode(self, step: Callable[[], T]) -> T:
        """Call driver code that only computes."""
        return await self._isolation.decode(step)

    async def call(self, function: Callable[[], T], timeout_s: float) -> T:
        """Call code that may block."""
        return await self._isolation.call(function, timeout_s)

    def post(self, function: Callable[[], None]) -> None:
        """Call code that may block, without waiting for it."""
        self._isolation.post(function)

    def opened(self) -> None:
        """Record that the port is open."""
        self.proven = self.proven or not self._period_s

    def mark_working(self) -> None:
        """Record that the sensor works; report it if it was lost."""
        self.proven = True
        recovered = self.health.record_good(self.now_s())
        if recovered is not None:
            self._announce(recovered)
            line = _("{sensor}: recovered").format(sensor=self._settings.id)
            _log.info(line, extra=log_extra(LogCode.SENSOR_RECOVERED, self._settings.id))
            self._last_logged = ""

    def record_data(self, size_bytes: int, items: int) -> None:
        """Record that bytes arrived, and how many items were found in them."""
        self.health.record_data()
        self._writer.record_data(size_bytes, items)

    def handle(self, items: list[Item], stamp: Stamp, *, urgent: bool = False) -> int:
        """Publish decoded items; return the number of measurements."""
        good = 0
        for item in items:
            if isinstance(item, Rejected):
                self.health.record_rejected(item.reason)
                continue
            if self._on_measurement is not None:
                self._on_measurement(item, stamp)
            measurements = self._pipeline.feed(item, self.now_s())
            good += 1
            self.health.frames += 1
            self.mark_working()
            for measurement in measurements:
                self._writer.write(measurement, stamp, urgent=urgent)
            self._resolve_measurement(item)
        self._schedule_tick()
        return good

    def report_lost_edges(self, count: int) -> None:
        """Report edges dropped by the kernel."""
        self._writer.report_lost_edges(count, sampled=bool(self._source.poll_s))

    def silence_s(self) -> float:
        """Return how long the device may deliver nothing good. One without a period may be silent forever."""
        limits = self.limits
        return max(limits.silence_s, limits.missed_periods * self._period_s) if self._period_s else float("inf")

    def check_silence(self, *, reopen: bool = False) -> None:
        """Report the loss of a silent device; raises :class:`Silent` when its port should be reopened."""
        now_s, last_good_s = self.now_s(), self.health.last_good_s()
        if now_s - last_good_s < self.silence_s():
            return
        row = self.health.record_silence()
        if row is not None:
            self._log_once(self._silence())
            self._announce(row)
        if reopen and now_s - max(self._opened_s, last_good_s) > self.limits.reopen_s:
            raise self._silence()

    def _silence(self) -> Silent:
        place, reason, driver = self._source.place, self.health.reason(), self._driver.name
        if reason == "timeout":
            return Silent(_("no data from {port}: check the device's power and wiring").format(port=place))
        if reason == NO_FRAME:
            return Silent(
                _("data from {port} contains no frame of {driver}: check the driver and the baud rate").format(
                    port=place, driver=driver
                )
            )
        return Silent(
            _("only invalid data from {port} ({why}): check the device, the driver and the baud rate").format(
                port=place, why=reason
            )
        )

    def _schedule_tick(self) -> None:
        """Schedule time-driven output, which is due even if nothing more is measured."""
        due_s = self._pipeline.due_s
        if due_s is not None and self._tick_timer is None:
            self._tick_timer = self._time.call_later(max(0.0, due_s - self.now_s()), self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        for measurement in self._pipeline.tick(self.now_s()):
            self._writer.write(measurement, self.stamp())
        self._schedule_tick()

    def _resolve_measurement(self, item: Measurement) -> None:
        if self._pending_measurement is not None and not self._pending_measurement.done():
            measurement = self._pipeline.process_single(item)
            self._pending_measurement.set_result({**measurement.values, "q": dict(measurement.q)})
            self._wake.clear()


def _fault(driver: str, error: Exception) -> str:
    """Describe what a driver raised and where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return _("driver {driver} raised {error} ({file}, line {line})").format(
        driver=driver, error=repr(error), file=place.filename, line=place.lineno
    )
