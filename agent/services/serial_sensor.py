"""Sensors on a serial port."""

from functools import partial
from typing import Protocol

from agent.services import sensor
from agent.services.sensor import SensorTask
from drivers.sdk.contract import Decoder, LineSettings, SerialDriver

_QUIET_S = 0.25
"""A device that pauses this long has ended its frame: USB adapters hold bytes back for less."""
_DECODE_S = 5.0
"""Foreign code that needs longer than this for one chunk is stuck."""
_REOPEN_S = 30.0
"""A port that stays silent is opened anew this often: some adapters hang."""


class Link(Protocol):
    """What a sensor needs of an open port."""

    async def read(self, timeout_s: float) -> bytes: ...
    async def write(self, raw: bytes) -> None: ...
    def close(self) -> None: ...


class Edges(sensor.Edges, Protocol):
    """How the sensor gets at its port. Raises :class:`~agent.core.failure.PortLost`."""

    def open_port(self, name: str, line: LineSettings) -> Link: ...


class SerialSensor(SensorTask):
    """A device on a serial port of its own: it streams, or it answers."""

    _driver: SerialDriver
    _edges: Edges

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
            self.proven = self.proven or not self._period_s
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
            self._report_silence(self._settings.port)
            # On a grid; a question that was missed (a suspended computer) is not made up for.
            next_s = max(next_s + self._poll_s(), self._now_s())
            await self._pause(next_s - self._now_s())

    async def _listen(self, link: Link, decoder: Decoder, opened_s: float, until_s: float | None) -> None:
        """Read frames. With ``until_s`` (loop seconds): until then, or until one good frame."""
        unfinished = False
        before = self._frames
        while until_s is None or (self._now_s() < until_s and self._frames == before):
            wait_s = _QUIET_S if unfinished else self._silence_s()
            if self._chain.due_s is not None:
                wait_s = min(wait_s, max(0.0, self._chain.due_s - self._now_s()))
            chunk = await link.read(wait_s if until_s is None else min(wait_s, until_s - self._now_s()))
            self._tick()
            at_s = self._now_s() - opened_s
            if chunk:
                stamp = self._edges.now()
                await self._hold_back()
                step = partial(decoder.feed, chunk, at_s)
            elif unfinished:
                stamp = self._edges.now()
                step = partial(decoder.finish, at_s)
            else:
                if until_s is None:
                    self._check_silence(opened_s)
                continue
            unfinished = bool(chunk)
            items = step() if self._driver.inline else await self._apart(step, _DECODE_S)
            if chunk:
                self.health.heard()
                self._budget.heard(len(chunk), len(items))
            self._take(items, stamp)
            if until_s is None and self._now_s() - self.health.quiet_since_s() > self._silence_s():
                self._check_silence(opened_s)

    def _check_silence(self, opened_s: float) -> None:
        self._report_silence(self._settings.port)
        if self.health.lost and self._now_s() - max(opened_s, self.health.quiet_since_s()) > _REOPEN_S:
            raise self._silent(self._settings.port)
