"""One sensor: listen or ask, hand readings on; fail alone and come back."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from tenacity import RetryCallState, wait_random_exponential

from agent.core import events
from agent.core.chain import Chain
from agent.core.failure import DriverFault, Overdue, SensorFailure, Silent, Stuck
from agent.core.health import Health
from agent.core.reading import Reading, Stamp, telemetry
from agent.core.settings import Sensor
from agent.core.text import say
from agent.core.wire import packed
from agent.services.persist import persist
from drivers.sdk.contract import Decoder, Driver, Item, LineSettings, PollDriver, Reader, Rejected, SerialDriver

_log = logging.getLogger(__name__)
T = TypeVar("T")

_QUIET_S = 0.25
"""A device that pauses this long has ended its frame: USB adapters hold bytes back for less."""
_DECODE_S = 5.0
"""Foreign code that needs longer than this for one chunk is stuck."""
_MISSED = 3
"""Periods without a good frame after which a sensor is lost."""
_SILENCE_S = 3.0
"""No device is lost before it was silent this long."""
_REOPEN_S = 30.0
_STABLE_S = 10.0
_MAX_STUCK = 3
"""Threads that a driver may leave behind; then it is not started any more."""
_PORT_WAIT = wait_random_exponential(multiplier=0.25, max=4)
_FAULT_WAIT = wait_random_exponential(multiplier=1, max=60)


class Link(Protocol):
    """What a sensor needs of an open port."""

    async def read(self, timeout_s: float) -> bytes: ...
    async def write(self, raw: bytes) -> None: ...
    def close(self) -> None: ...


class Worker(Protocol):
    """A thread of the sensor's own, for code that may block. ``call`` raises :class:`Overdue`."""

    async def call(self, function: Callable[[], T], timeout_s: float | None = None) -> T: ...
    def post(self, function: Callable[[], None]) -> None: ...
    def close(self) -> None: ...


class Store(Protocol):
    """What a sensor needs of the store."""

    mh: str

    def append(self, reading: Reading) -> None: ...
    def announce(self, row: Mapping[str, object]) -> None: ...


class Edges(Protocol):
    """How a sensor gets at the world."""

    def open_port(self, name: str, line: LineSettings) -> Link: ...
    def worker(self, name: str) -> Worker: ...
    def now(self) -> Stamp: ...


class SensorTask:
    """One configured sensor. The kinds differ in :meth:`_use`; what they share is how they fail and report."""

    def __init__(self, settings: Sensor, driver: Driver, store: Store, edges: Edges) -> None:
        self._settings = settings
        self._driver = driver
        self._store = store
        self._edges = edges
        self._now_s = asyncio.get_running_loop().time
        self._chain = Chain(driver.fields, settings.calibrate, self._thinned_to_s())
        self._period_s = self._poll_s() or driver.period_s
        self._stream = telemetry(settings.id)
        self._worker: Worker | None = None
        self._stuck = 0
        self._told = ""
        self._urgent = True
        self._frames = 0
        self.health = Health(settings.id, self._now_s())

    async def run(self) -> None:
        """Keep the sensor going. Returns only when its driver must not be started again."""
        try:
            while not self._given_up():
                await persist(self._attempt, SensorFailure, self._wait, self._tell, asyncio.sleep)
            _log.error(say("{sensor}: driver {driver} hangs again and again; it is switched off",
                           sensor=self._settings.id, driver=self._driver.name))  # fmt: skip
        finally:
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
            _log.warning("%s: %s", self._settings.id, error)

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
            measurement = self._chain.on(item, now_s)
            self._frames += 1
            back = self.health.good(now_s)
            if back is not None:
                self._report(back)
                _log.info(say("{sensor}: back", sensor=self._settings.id))
                self._told = ""
            if measurement is None:
                continue
            row = {**measurement.values, "q": dict(measurement.q)} if measurement.q else measurement.values
            self._store.append(Reading(self._stream, stamp, self._store.mh, packed(row), self._urgent))
            self._urgent = False

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


class SerialSensor(SensorTask):
    """A device on a serial port: it streams, or it answers."""

    _driver: SerialDriver

    def _poll_s(self) -> float:
        return super()._poll_s() if self._driver.request else 0.0

    def _thinned_to_s(self) -> float:
        return 0.0 if self._driver.request else (self._settings.interval_s or 0.0)

    async def _use(self) -> None:
        link = self._edges.open_port(self._settings.port, self._line())
        try:
            decoder = self._driver.decoder(self._settings.options)
            for line in self._driver.setup:
                await link.write(line)
            opened_s = self._now_s()
            if self._driver.request:
                await self._ask(link, decoder, opened_s)
            else:
                await self._listen(link, decoder, opened_s, until_s=None)
        finally:
            link.close()

    def _line(self) -> LineSettings:
        line, own = self._driver.line, self._settings
        return LineSettings(
            own.baud or line.baud, own.parity or line.parity, own.stop_bits or line.stop_bits, line.data_bits
        )

    async def _ask(self, link: Link, decoder: Decoder, opened_s: float) -> None:
        next_s = self._now_s()
        while True:
            await link.write(self._driver.request)
            await self._listen(link, decoder, opened_s, until_s=self._now_s() + self._driver.timeout_s)
            self._report_silence()
            # On a grid; a question that was missed (a suspended computer) is not made up for.
            next_s = max(next_s + self._poll_s(), self._now_s())
            await asyncio.sleep(next_s - self._now_s())

    async def _listen(self, link: Link, decoder: Decoder, opened_s: float, until_s: float | None) -> None:
        """Read frames. With ``until_s`` (loop seconds): until then, or until one good frame."""
        unfinished = False
        before = self._frames
        while until_s is None or (self._now_s() < until_s and self._frames == before):
            wait_s = _QUIET_S if unfinished else self._silence_s()
            chunk = await link.read(wait_s if until_s is None else min(wait_s, until_s - self._now_s()))
            at_s = self._now_s() - opened_s
            if chunk:
                stamp = self._edges.now()
                step = partial(decoder.feed, chunk, at_s)
            elif unfinished:
                stamp = self._edges.now()
                step = partial(decoder.finish, at_s)
            else:
                if until_s is None:
                    self._check_silence(opened_s)
                continue
            unfinished = bool(chunk)
            self._take(step() if self._driver.inline else await self._apart(step, _DECODE_S), stamp)
            if until_s is None and self._now_s() - self.health.quiet_since_s() > self._silence_s():
                self._check_silence(opened_s)

    def _silence_s(self) -> float:
        """How long a device may give nothing good. One without a period may be silent for ever."""
        return max(_SILENCE_S, _MISSED * self._period_s) if self._period_s else 3600.0

    def _report_silence(self) -> None:
        if self._period_s and self._now_s() - self.health.quiet_since_s() >= self._silence_s():
            row = self.health.silent()
            if row is not None:
                self._tell(Silent(_silence(self.health.doubt(), self._settings)))
            self._report(row)

    def _check_silence(self, opened_s: float) -> None:
        self._report_silence()
        if self.health.lost and self._now_s() - max(opened_s, self.health.quiet_since_s()) > _REOPEN_S:
            raise Silent(_silence(self.health.doubt(), self._settings))


def _silence(why: str, settings: Sensor) -> str:
    if why == "timeout":
        return say("nothing comes from {port}: is the device powered, are its wires right?", port=settings.port)
    return say("only garbage comes from {port} ({why}): is this the right device, driver and baud rate?",
               port=settings.port, why=why)  # fmt: skip


class PollSensor(SensorTask):
    """Something that is read by a blocking call."""

    _driver: PollDriver

    async def _use(self) -> None:
        settings, timeout_s = self._settings, self._driver.timeout_s
        reader = await self._apart(lambda: self._driver.reader(settings.options), timeout_s)
        try:
            decoder = self._driver.decoder(settings.options)
            opened_s = next_s = self._now_s()
            while True:
                items = await self._apart(partial(_read, reader, decoder, self._now_s() - opened_s), timeout_s)
                self._take(items, self._edges.now())
                next_s = max(next_s + self._poll_s(), self._now_s())
                await asyncio.sleep(next_s - self._now_s())
        finally:
            # Not awaited: on the way out of a cancellation nothing may be waited for.
            if self._worker is not None:
                self._worker.post(reader.close)


def _read(reader: Reader, decoder: Decoder, at_s: float) -> list[Item]:
    try:
        raw = reader.read()
    except OSError as error:
        raise SensorFailure(say("the device does not answer: {why}", why=error.strerror or error)) from error
    return [*decoder.feed(raw, at_s), *decoder.finish(at_s)]


def sensor_task(settings: Sensor, driver: Driver, store: Store, edges: Edges) -> SensorTask:
    """The task for a sensor with this driver."""
    if isinstance(driver, SerialDriver):
        return SerialSensor(settings, driver, store, edges)
    if isinstance(driver, PollDriver):
        return PollSensor(settings, driver, store, edges)
    raise TypeError(driver)
