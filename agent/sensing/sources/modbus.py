"""Modbus units: requests and answers on a line shared by several units, or over TCP."""

from functools import partial
from typing import Protocol

from agent.base.reading import Stamp
from agent.config.settings import Bus, Sensor
from agent.sensing.sources.serial import line_settings
from agent.sensing.sources.shared_port import Link, SharedPort
from agent.sensing.sources.source import Feed, PollSchedule
from drivers.sdk.bus import ModbusDecoder, ModbusDriver, ModbusRead
from drivers.sdk.contract import Item, LineSettings
from drivers.sdk.modbus import AnswerFinder, request


class ModbusPorts(Protocol):
    """Gives sensors access to their lines. The same name returns the same port."""

    def shared_port(self, name: str, line: LineSettings) -> SharedPort: ...
    def shared_tcp(self, name: str) -> SharedPort: ...


class ModbusSource:
    """One unit. ``bus``: the shared line, if any."""

    downsample_s = 0.0

    def __init__(self, settings: Sensor, driver: ModbusDriver, ports: ModbusPorts, bus: Bus | None) -> None:
        self._settings = settings
        self._driver = driver
        self._ports = ports
        self._bus = bus
        self._unit = driver.unit if settings.unit is None else settings.unit
        self.place = f"{bus.port if bus else settings.port} unit {self._unit}"
        self.poll_s = settings.interval_s or driver.period_s

    async def run(self, feed: Feed) -> None:
        """Poll the unit on schedule until the port fails."""
        port = self._port()
        decoder = await feed.decode(lambda: self._driver.decoder(self._settings.options))
        opened_s = feed.now_s()
        schedule = PollSchedule(self.poll_s, opened_s)
        while True:
            await feed.wait_for_room()
            answered = await self._round(port, decoder, feed, opened_s)
            feed.check_silence()
            rest_s = 0.0 if answered else feed.limits.rest_factor * self._driver.timeout_s
            await feed.pause(schedule.pause_s(feed.now_s(), rest_s))

    async def _round(self, port: SharedPort, decoder: ModbusDecoder, feed: Feed, opened_s: float) -> bool:
        """Request every block; return whether the unit answered. A silent unit is asked for one block only.

        The line is released while an answer is decoded: a decoder that blocks delays no other unit.
        """
        answered, stamp = True, feed.stamp()
        for read in self._driver.reads:
            async with port.acquire() as link:
                raw = await self._ask(link, read, feed)
            stamp = feed.stamp()
            answered = await self._decode(decoder, raw, stamp, feed, opened_s)
            if not answered:
                break
        feed.handle(await feed.decode(partial(decoder.finish, feed.now_s() - opened_s)), stamp)
        return answered

    async def _ask(self, link: Link, read: ModbusRead, feed: Feed) -> bytes:
        """Request a block; return the bytes received until the answer was complete or the unit's timeout expired."""
        while await link.read(0.0):
            pass  # a late answer to another request
        if self._driver.request_gap_s:
            await feed.sleep(self._driver.request_gap_s)
        await link.write(request(self._unit, read))
        until_s = feed.now_s() + self._driver.timeout_s
        finder = AnswerFinder(read)
        while not finder.over and (remaining_s := until_s - feed.now_s()) > 0:
            finder.feed(await link.read(remaining_s))
        return finder.received

    async def _decode(self, decoder: ModbusDecoder, raw: bytes, stamp: Stamp, feed: Feed, opened_s: float) -> bool:
        """Decode the received bytes; return whether they contained an answer."""
        answered, items = await feed.decode(partial(_decoded, decoder, raw, feed.now_s() - opened_s))
        if raw:
            feed.record_data(len(raw), len(items))
        feed.handle(items, stamp)
        return answered

    def _port(self) -> SharedPort:
        if self._driver.tcp:
            return self._ports.shared_tcp(self._settings.port)
        line, bus = self._driver.line, self._bus
        if bus is not None:
            return self._ports.shared_port(bus.port, LineSettings(bus.baud, bus.parity, bus.stop_bits, line.data_bits))
        return self._ports.shared_port(self._settings.port, line_settings(self._settings, line))


def _decoded(decoder: ModbusDecoder, raw: bytes, at_s: float) -> tuple[bool, list[Item]]:
    """Return the items received after one request, and whether they contained an answer to it."""
    before = decoder.done
    items = decoder.feed(raw, at_s) if raw else []
    if decoder.done != before:
        return True, items
    return False, [*items, *decoder.missed(at_s)]
