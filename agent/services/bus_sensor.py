"""Sensors on an I2C or a 1-Wire bus: read by blocking calls, in turn with the bus's other sensors."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from agent.core.failure import SensorFailure
from agent.core.text import say
from agent.services import sensor
from agent.services.sensor import SensorTask
from drivers.sdk.bus import I2cDriver, I2cPort, W1Driver
from drivers.sdk.contract import Decoder

T = TypeVar("T")


class Bus(Protocol):
    """What a sensor needs of its bus."""

    async def call(self, function: Callable[[Any], T], timeout_s: float) -> T: ...


class Edges(sensor.Edges, Protocol):
    """How sensors get at their buses."""

    def i2c_bus(self, number: int) -> Bus: ...
    def w1_bus(self) -> Bus: ...


class BusSensor(SensorTask):
    """What sensors on such buses share: asking on time, and telling a device that does not answer."""

    _edges: Edges

    async def _begin(self) -> Callable[[], "asyncio.Future[bytes] | Any"]:
        """Set the device up; give what reads one raw answer."""
        raise NotImplementedError

    def _where(self) -> str:
        """The device's place, for people."""
        raise NotImplementedError

    async def _use(self) -> None:
        try:
            read = await self._begin()
            decoder: Decoder = self._driver.decoder(self._settings.options)
            began_s = next_s = self._now_s()
            while True:
                raw = await read()
                stamp = self._edges.now()
                at_s = self._now_s() - began_s
                self._take([*decoder.feed(raw, at_s), *decoder.finish(at_s)] if raw else [], stamp)
                self._report_silence(self._where())
                # On a grid; what was missed is not made up for.
                next_s = max(next_s + self._poll_s(), self._now_s())
                await self._pause(next_s - self._now_s())
        except OSError as error:
            why = error.strerror or error
            raise SensorFailure(say("{where} does not answer: {why}", where=self._where(), why=why)) from error


class I2cSensor(BusSensor):
    """A device on an I2C bus."""

    _driver: I2cDriver

    def _where(self) -> str:
        return f"I2C {self._number()}:0x{self._address():02x}"

    def _number(self) -> int:
        return 1 if self._settings.i2c_bus is None else self._settings.i2c_bus

    def _address(self) -> int:
        return self._driver.address if self._settings.address is None else self._settings.address

    async def _begin(self) -> Callable[[], Any]:
        bus, driver, options = self._edges.i2c_bus(self._number()), self._driver, self._settings.options

        def start(port: I2cPort) -> Any:
            device = driver.open(port, self._address(), options)
            device.start()
            return device

        device = await bus.call(start, driver.timeout_s)
        return partial(bus.call, lambda port: device.read(), driver.timeout_s)


class W1Sensor(BusSensor):
    """A device on the kernel's 1-Wire bus."""

    _driver: W1Driver

    def _where(self) -> str:
        return f"1-Wire {self._settings.w1}"

    async def _begin(self) -> Callable[[], Any]:
        name = self._settings.w1
        return partial(self._edges.w1_bus().call, lambda port: port.read(name), self._driver.timeout_s)
