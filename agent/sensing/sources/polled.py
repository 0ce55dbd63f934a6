"""Devices read by a blocking call: kernel files, and drivers from other distributions."""

from functools import partial

from agent.base.i18n import _
from agent.config.settings import Sensor
from agent.sensing.sensor_errors import SensorFailure
from agent.sensing.sources.source import Feed, PollSchedule
from drivers.sdk.contract import Decoder, Item, PollDriver, Reader


class PolledSource:
    """Polls a driver's reader in the sensor's own thread."""

    downsample_s = 0.0

    def __init__(self, settings: Sensor, driver: PollDriver) -> None:
        self._settings = settings
        self._driver = driver
        self.place = settings.port or driver.name
        self.poll_s = settings.interval_s or driver.period_s

    async def run(self, feed: Feed) -> None:
        """Open the reader and poll it on schedule until it fails."""
        options, timeout_s = self._settings.options, self._driver.timeout_s
        reader = await feed.call(lambda: self._driver.reader(options), timeout_s)
        try:
            decoder = await feed.decode(lambda: self._driver.decoder(options))
            opened_s = feed.now_s()
            schedule = PollSchedule(self.poll_s, opened_s)
            while True:
                await feed.wait_for_room()
                size_bytes, items = await feed.call(partial(_read, reader, decoder, feed.now_s() - opened_s), timeout_s)
                feed.record_data(size_bytes, len(items))
                feed.handle(items, feed.stamp())
                feed.check_silence()
                await feed.pause(schedule.pause_s(feed.now_s()))
        finally:
            # Not awaited: during cancellation, nothing may be waited for.
            feed.post(reader.close)


def _read(reader: Reader, decoder: Decoder, at_s: float) -> tuple[int, list[Item]]:
    try:
        raw = reader.read()
    except OSError as error:
        raise SensorFailure(_("the device does not answer: {why}").format(why=error.strerror or error)) from error
    return len(raw), [*decoder.feed(raw, at_s), *decoder.finish(at_s)]
