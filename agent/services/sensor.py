"""What all kinds of sensors share: handing readings on, failing alone, coming back."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tenacity import RetryCallState, wait_random_exponential

from agent.core import events
from agent.core.failure import DriverFault, Overdue, SensorFailure, Silent, Stuck
from agent.core.health import NO_FRAME, Health
from agent.core.log_fields import tagged
from agent.core.pipeline import Pipeline, PipelineSettings
from agent.core.privacy import Mode, Privacy
from agent.core.reading import Reading, Stamp, event, telemetry
from agent.core.sensor_budget import SensorBudget
from agent.core.settings import Sensor
from agent.core.text import say
from agent.core.wire import packed
from agent.services.retry import retry_forever
from drivers.sdk.contract import Driver, Item, Measurement, Rejected

_log = logging.getLogger(__name__)
T = TypeVar("T")

_MISSED = 3
"""Periods without a good frame after which a sensor is lost."""
_SILENCE_S = 3.0
"""No device is lost before it was silent this long."""
_STABLE_S = 10.0
_MAX_STUCK = 3
"""Threads that a driver may leave behind; then it is not started any more."""
_PORT_WAIT = wait_random_exponential(multiplier=0.25, max=4)
_FAULT_WAIT = wait_random_exponential(multiplier=1, max=60)


class Worker(Protocol):
    """A thread of the sensor's own, for code that may block. ``call`` raises :class:`Overdue`."""

    async def call(self, function: Callable[[], T], timeout_s: float | None = None) -> T: ...
    def post(self, function: Callable[[], None]) -> None: ...
    def close(self) -> None: ...


class Store(Protocol):
    """What sensors need of the store."""

    mh: str

    @property
    def ep(self) -> str: ...

    async def room(self) -> None: ...
    def append(self, reading: Reading) -> None: ...
    def announce(self, row: Mapping[str, object]) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class Edges(Protocol):
    """What every kind of sensor needs of the world."""

    def worker(self, name: str) -> Worker: ...
    def now(self) -> Stamp: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the sensors of one configuration have in common."""

    store: Store
    privacy_mode: Mode = "hmac"
    privacy_key: bytes = b""


class SensorTask:
    """One configured sensor. The kinds differ in :meth:`_use`; what they share is how they fail and report."""

    def __init__(self, settings: Sensor, driver: Driver, around: Surroundings, edges: Edges) -> None:
        self._settings = settings
        self._driver = driver
        self._store = around.store
        self._edges = edges
        self._now_s = asyncio.get_running_loop().time
        privacy = Privacy(driver.fields, around.privacy_mode, around.privacy_key, settings.personal)
        steps = PipelineSettings(settings.calibrate, self._thinned_to_s(), driver.presence, privacy)
        self._chain = Pipeline(driver.fields, steps)
        self._period_s = self._poll_s() or driver.period_s
        self._stream = telemetry(settings.id)
        self._events = event(settings.id)
        self._worker: Worker | None = None
        self._stuck = 0
        self._told = ""
        self._urgent = True
        self._frames = 0
        self.proven = False
        """Whether it has worked since it was started: a good frame, or for a device without a period its port."""
        self._budget = SensorBudget(settings.max_rows_per_s, self._now_s())
        self._flooding = False
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[Mapping[str, object]] | None = None
        self.health = Health(settings.id, self._now_s())

    async def measure(self) -> Mapping[str, object]:
        """The next measurement; a polled device is asked at once."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
        self._asked.set()
        return await asyncio.shield(self._answer)

    def switch(self, on: bool) -> None:
        """Set an output. Raises :class:`LookupError` where this is none, or cannot be set now."""
        raise LookupError(f"{self._settings.id} is no output")

    def diagnose(self) -> Mapping[str, object]:
        """How the sensor is."""
        return {
            "lost": self.health.lost,
            "why": self._told if self.health.lost else "",
            "quiet_s": round(self._now_s() - self.health.quiet_since_s(), 1),
            "rejected": self.health.rejected,
        }

    async def run(self) -> None:
        """Keep the sensor going. Returns only when its driver must not be started again."""
        try:
            while not self._given_up():
                await retry_forever(self._attempt, SensorFailure, self._wait, self._tell, asyncio.sleep)
            _log.error(say("{sensor}: driver {driver} hangs again and again; it is switched off",
                           sensor=self._settings.id, driver=self._driver.name),
                       extra=tagged("driver_hangs", self._settings.id))  # fmt: skip
        finally:
            self._report_dropped(self._budget.report(self._now_s(), final=True))
            if self._worker is not None:
                self._worker.close()

    async def _use(self) -> None:
        """Take measurements until the sensor fails. Raises :class:`SensorFailure`."""
        raise NotImplementedError

    def _poll_s(self) -> float:
        """Seconds between two questions; 0 for a device that speaks by itself."""
        return self._settings.interval_s or self._driver.period_s

    def _thinned_to_s(self) -> float:
        return 0.0

    async def _attempt(self) -> None:
        """Use the sensor; return when that has gone well for a while, so that the backoff begins anew, and when the
        driver must not be started again."""
        if self._given_up():
            return
        began_s = self._now_s()
        try:
            await self._use()
        except SensorFailure as error:
            self._report(self.health.fail(error.why))
            if self._now_s() - began_s < _STABLE_S:
                raise
            self._tell(error)
        except Exception as error:
            self._report(self.health.fail(DriverFault.why))
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _log.debug("driver %s raised", self._driver.name, exc_info=error)
            raise DriverFault(say("driver {driver} raised {error} ({file}, line {line})", driver=self._driver.name,
                                  error=repr(error), file=frame.filename, line=frame.lineno)) from error  # fmt: skip

    def _given_up(self) -> bool:
        return self._stuck >= _MAX_STUCK

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return _FAULT_WAIT(state) if isinstance(error, DriverFault) else _PORT_WAIT(state)

    def _tell(self, error: BaseException) -> None:
        """One line for each new reason; what stays broken is not told again and again."""
        if str(error) != self._told:
            self._told = str(error)
            code = error.why if isinstance(error, SensorFailure) else "device"
            _log.warning("%s: %s", self._settings.id, error, extra=tagged(code, self._settings.id))

    def _report(self, row: events.Row | None) -> None:
        if row is not None:
            self._store.announce(row)

    def _take(self, items: list[Item], stamp: Stamp) -> None:
        """Hand on what was decoded from bytes that came at ``stamp``."""
        now_s = self._now_s()
        for item in items:
            if isinstance(item, Rejected):
                self.health.reject(item.reason)
                continue
            measurements = self._chain.feed(item, now_s)
            self._frames += 1
            self._is_well(now_s)
            for measurement in measurements:
                self._publish(measurement, stamp)
            if self._asked.is_set():
                self._tell_asker(self._chain.single(item))

    def _is_well(self, now_s: float) -> None:
        """The sensor works: say so, if it had been lost."""
        self.proven = True
        back = self.health.good(now_s)
        if back is not None:
            self._report(back)
            line = say("{sensor}: back", sensor=self._settings.id)
            _log.info(line, extra=tagged("sensor_recovered", self._settings.id))
            self._told = ""

    def _tick(self) -> None:
        """Let go what ends by time: a card that is not read any more."""
        due_s = self._chain.due_s
        if due_s is not None and self._now_s() >= due_s:
            for measurement in self._chain.tick(self._now_s()):
                self._publish(measurement, self._edges.now())

    def _tell_asker(self, measurement: Measurement) -> None:
        self._asked.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result({**measurement.values, "q": dict(measurement.q)})

    async def _pause(self, seconds: float) -> None:
        """Wait before the next question; less, if somebody asks."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            pass

    def _publish(self, measurement: Measurement, stamp: Stamp) -> None:
        now_s = self._now_s()
        stream = self._events if measurement.event else self._stream
        if not self._budget.takes(stream, now_s):
            self._report_flood()
            return
        self._report_dropped(self._budget.report(now_s))
        row = {**measurement.values, "q": dict(measurement.q)} if measurement.q else measurement.values
        if measurement.event:
            row = {"ev": measurement.event, "sev": "info", **row}
            urgent = self._budget.urgent(now_s)
            self._store.append(Reading(stream, stamp, self._store.mh, packed(row), urgent))
        else:
            self._store.append(Reading(stream, stamp, self._store.mh, packed(row), self._urgent))
            self._urgent = False

    def _report_flood(self) -> None:
        if not self._flooding:
            self._flooding = True
            line = say("{sensor} gives more than {n:.0f} readings a second: the excess is dropped and counted",
                       sensor=self._settings.id, n=self._settings.max_rows_per_s)  # fmt: skip
            _log.warning(line, extra=tagged("sensor_flood", self._settings.id))
        self._report_dropped(self._budget.report(self._now_s()))

    def _report_dropped(self, dropped: Mapping[str, int]) -> None:
        for stream, n in dropped.items():
            self._store.announce(events.rows_lost_unnumbered(stream, self._store.ep, n, "overflow"))

    async def _hold_back(self) -> None:
        """Leave bytes with the kernel for as long as the store has no room, or this sensor is over its budget."""
        await self._store.room()
        pause_s = self._budget.pause_s()
        if pause_s:
            await asyncio.sleep(pause_s)

    def _silence_s(self) -> float:
        """How long a device may give nothing good. One without a period may be silent for ever."""
        return max(_SILENCE_S, _MISSED * self._period_s) if self._period_s else 3600.0

    def _report_silence(self, port: str) -> None:
        """Tell that the sensor is lost, if nothing good has come from it for too long."""
        if self._period_s and self._now_s() - self.health.quiet_since_s() >= self._silence_s():
            row = self.health.silent()
            if row is not None:
                self._tell(self._silent(port))
            self._report(row)

    def _silent(self, port: str) -> Silent:
        doubt = self.health.doubt()
        if doubt == "timeout":
            return Silent(say("nothing comes from {port}: is the device powered, are its wires right?", port=port))
        if doubt == NO_FRAME:
            text = say("bytes come from {port}, but no frame of {driver}: is this the right driver and baud rate?",
                       port=port, driver=self._driver.name)  # fmt: skip
            return Silent(text)
        return Silent(say("only garbage comes from {port} ({why}): is this the right device, driver and baud rate?",
                          port=port, why=doubt))  # fmt: skip

    async def _apart(self, function: Callable[[], T], timeout_s: float) -> T:
        """Run code that may block in the sensor's own thread. Raises :class:`Stuck` when it does not return."""
        if self._worker is None:
            self._worker = self._edges.worker(f"sensor {self._settings.id}")
        try:
            return await self._worker.call(function, timeout_s)
        except Overdue:
            self._worker = None
            self._stuck += 1
            raise Stuck(say("driver {driver} did not return within {n:.0f} s",
                            driver=self._driver.name, n=timeout_s)) from None  # fmt: skip
