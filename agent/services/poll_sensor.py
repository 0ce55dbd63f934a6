"""Sensors that are read by a blocking call: files of the kernel, and what third-party drivers do."""

from functools import partial

from agent.core.failure import SensorFailure
from agent.core.text import say
from agent.services.sensor import SensorTask
from drivers.sdk.contract import Decoder, Item, PollDriver, Reader


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
                await self._pause(next_s - self._now_s())
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
