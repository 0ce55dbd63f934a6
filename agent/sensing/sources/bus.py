"""Devices on an I2C or a 1-Wire bus: read by blocking calls, in turn with the other devices of the bus."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from agent.base.i18n import _
from agent.config.settings import Sensor
from agent.sensing.sensor_errors import SensorFailure
from agent.sensing.sources.source import Feed, PollSchedule
from drivers.sdk.bus import I2cDevice, I2cDriver, I2cPort, W1Driver
from drivers.sdk.contract import Decoder, Driver, Item

T = TypeVar("T")
Read = Callable[[], Awaitable[bytes]]
"""Reads one raw answer. Raises :class:`OSError` if the device does not answer."""


class Bus(Protocol):
    """Calls a function with the open bus, in the bus's thread."""

    async def call(self, function: Callable[[Any], T], timeout_s: float) -> T: ...


class Buses(Protocol):
    """Gives sensors access to their buses."""

    def i2c_bus(self, number: int) -> Bus: ...
    def w1_bus(self) -> Bus: ...


class BusSource:
    """One device on a bus. ``begin`` sets it up and returns the function that reads it."""

    downsample_s = 0.0

    def __init__(self, settings: Sensor, driver: Driver, place: str, begin: Callable[[], Awaitable[Read]]) -> None:
        self._settings = settings
        self._driver = driver
        self._begin = begin
        self.place = place
        self.poll_s = settings.interval_s or driver.period_s

    async def run(self, feed: Feed) -> None:
        """Set the device up and poll it on schedule until it fails."""
        read = await self._answered(self._begin())
        decoder = await feed.decode(lambda: self._driver.decoder(self._settings.options))
        opened_s = feed.now_s()
        schedule = PollSchedule(self.poll_s, opened_s)
        while True:
            await feed.wait_for_room()
            raw = await self._answered(read())
            if raw:
                stamp = feed.stamp()
                items = await feed.decode(partial(_decoded, decoder, raw, feed.now_s() - opened_s))
                feed.record_data(len(raw), len(items))
                feed.handle(items, stamp)
            feed.check_silence()
            await feed.pause(schedule.pause_s(feed.now_s()))

    async def _answered(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except OSError as error:
            why = error.strerror or error
            raise SensorFailure(_("{where} does not answer: {why}").format(where=self.place, why=why)) from error


def _decoded(decoder: Decoder, raw: bytes, at_s: float) -> list[Item]:
    return [*decoder.feed(raw, at_s), *decoder.finish(at_s)]


def i2c_source(settings: Sensor, driver: I2cDriver, buses: Buses) -> BusSource:
    """Return the source of a device on an I2C bus."""
    number = 1 if settings.i2c_bus is None else settings.i2c_bus
    address = driver.address if settings.address is None else settings.address

    def start(port: I2cPort) -> I2cDevice:
        device = driver.open(port, address, settings.options)
        device.start()
        return device

    async def begin() -> Read:
        bus = buses.i2c_bus(number)
        device = await bus.call(start, driver.timeout_s)
        return partial(bus.call, lambda port: device.read(), driver.timeout_s)

    return BusSource(settings, driver, f"I2C {number}:0x{address:02x}", begin)


def onewire_source(settings: Sensor, driver: W1Driver, buses: Buses) -> BusSource:
    """Return the source of a device on the kernel's 1-Wire bus."""

    async def begin() -> Read:
        return partial(buses.w1_bus().call, lambda port: port.read(settings.w1), driver.timeout_s)

    return BusSource(settings, driver, f"1-Wire {settings.w1}", begin)
