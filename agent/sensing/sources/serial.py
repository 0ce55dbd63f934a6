"""Devices on a serial port of their own, which stream or answer requests."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from agent.config.settings import Sensor
from agent.sensing.sources.source import Feed, PollSchedule
from drivers.sdk.contract import Decoder, Item, LineSettings, SerialDriver

if TYPE_CHECKING:
    from agent.sensing.sources.shared_port import Link

_MAX_READ_S = 3600.0


class SerialPorts(Protocol):
    """Opens a serial port. Raises :class:`~agent.sensing.sensor_errors.PortLost`."""

    def open_port(self, name: str, line: LineSettings) -> "Link": ...


def line_settings(settings: Sensor, line: LineSettings) -> LineSettings:
    """Return the line settings of the configuration, with the driver's as defaults."""
    return LineSettings(
        settings.baud or line.baud,
        settings.parity or line.parity,
        settings.stop_bits or line.stop_bits,
        line.data_bits,
    )


class SerialSource:
    """One device on one port."""

    def __init__(self, settings: Sensor, driver: SerialDriver, ports: SerialPorts) -> None:
        self._settings = settings
        self._driver = driver
        self._ports = ports
        self.place = settings.port
        interval_s = settings.interval_s or 0.0
        self.poll_s = (interval_s or driver.period_s) if driver.request else 0.0
        self.downsample_s = 0.0 if driver.request else interval_s

    async def run(self, feed: Feed) -> None:
        """Open the port and read frames until it fails."""
        link = self._ports.open_port(self.place, line_settings(self._settings, self._driver.line))
        try:
            decoder = await feed.decode(lambda: self._driver.decoder(self._settings.options))
            for command in self._driver.setup:
                await link.write(command)
            feed.opened()
            reader = _FrameReader(link, decoder, feed)
            if self._driver.request:
                await self._poll(link, reader, feed)
            else:
                await reader.read_forever()
        finally:
            link.close()

    async def _poll(self, link: "Link", reader: "_FrameReader", feed: Feed) -> None:
        schedule = PollSchedule(self.poll_s, feed.now_s())
        while True:
            await link.write(self._driver.request)
            await reader.read_frame(feed.now_s() + self._driver.timeout_s)
            feed.check_silence()
            await feed.pause(schedule.pause_s(feed.now_s()))


class _FrameReader:
    """Feeds a decoder from an open port. ``unfinished``: the decoder may hold the start of a frame."""

    def __init__(self, link: "Link", decoder: Decoder, feed: Feed) -> None:
        self._link = link
        self._decoder = decoder
        self._feed = feed
        self._opened_s = feed.now_s()
        self._unfinished = False

    async def read_forever(self) -> None:
        """Read frames until the port fails."""
        max_wait_s = min(_MAX_READ_S, self._feed.silence_s())
        while True:
            await self._step(max_wait_s)
            self._feed.check_silence(reopen=True)

    async def read_frame(self, until_s: float) -> None:
        """Read until one good frame arrives, at most until ``until_s``."""
        self._unfinished = False
        while (remaining_s := until_s - self._feed.now_s()) > 0:
            if await self._step(remaining_s):
                return

    async def _step(self, max_wait_s: float) -> int:
        """Read once, waiting at most ``max_wait_s``; return the number of measurements."""
        feed = self._feed
        chunk = await self._link.read(min(max_wait_s, feed.limits.frame_gap_s) if self._unfinished else max_wait_s)
        at_s = feed.now_s() - self._opened_s
        decode: Callable[[], list[Item]]
        if chunk:
            decode = partial(self._decoder.feed, chunk, at_s)
        elif self._unfinished:
            decode = partial(self._decoder.finish, at_s)
        else:
            return 0
        stamp = feed.stamp()
        self._unfinished = bool(chunk)
        if chunk:
            await feed.wait_for_room()
        items = await feed.decode(decode)
        if chunk:
            feed.record_data(len(chunk), len(items))
        return feed.handle(items, stamp)
