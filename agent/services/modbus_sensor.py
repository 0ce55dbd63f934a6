"""Modbus sensors: questions and answers on a line that several units share, or over TCP."""

import asyncio
from typing import Protocol

from agent.core.settings import Bus, Sensor
from agent.services import sensor
from agent.services.sensor import SensorTask, Surroundings
from agent.services.shared_port import Link, SharedPort
from drivers.sdk.bus import ModbusDecoder, ModbusDriver, ModbusRead
from drivers.sdk.contract import Item, LineSettings
from drivers.sdk.modbus import request

_REST = 10
"""A unit that does not answer is asked again only after so many times the time that it was waited for: its silence may
cost the others a tenth of the bus."""


class Edges(sensor.Edges, Protocol):
    """How sensors get at their lines. The same name gives the same port."""

    def shared_port(self, name: str, line: LineSettings) -> SharedPort: ...
    def shared_tcp(self, name: str) -> SharedPort: ...


class ModbusSensor(SensorTask):
    """One unit. ``bus``: the line it shares with others, if it does."""

    _driver: ModbusDriver
    _edges: Edges

    def __init__(
        self, settings: Sensor, driver: ModbusDriver, around: Surroundings, edges: Edges, bus: Bus | None
    ) -> None:
        super().__init__(settings, driver, around, edges)
        self._bus = bus

    async def _use(self) -> None:
        port = self._port()
        decoder = self._driver.decoder(self._settings.options)
        began_s = next_s = self._now_s()
        while True:
            answered = await self._round(port, decoder, began_s)
            self._report_silence(self._where())
            rest_s = 0.0 if answered else _REST * self._driver.timeout_s
            next_s = max(next_s + self._poll_s(), self._now_s() + rest_s)
            await self._pause(next_s - self._now_s())

    async def _round(self, port: SharedPort, decoder: ModbusDecoder, began_s: float) -> bool:
        """Ask for every block; whether the unit answered. A silent unit is asked for one block only."""
        for read in self._driver.reads:
            async with port.lent() as link:
                if not await self._ask(link, read, decoder, began_s):
                    break
        else:
            self._take(decoder.finish(self._now_s() - began_s), self._edges.now())
            return True
        self._take(decoder.finish(self._now_s() - began_s), self._edges.now())
        return False

    async def _ask(self, link: Link, read: ModbusRead, decoder: ModbusDecoder, began_s: float) -> bool:
        while await link.read(0.0):
            pass  # what comes now answers somebody else's question
        if self._driver.request_gap_s:
            await asyncio.sleep(self._driver.request_gap_s)
        await link.write(request(self._unit(), read))
        until_s = self._now_s() + self._driver.timeout_s
        before = decoder.done
        while decoder.done == before:
            left_s = until_s - self._now_s()
            if left_s <= 0:
                self._take(decoder.missed(self._now_s() - began_s), self._edges.now())
                return False
            chunk = await link.read(left_s)
            items: list[Item] = decoder.feed(chunk, self._now_s() - began_s) if chunk else []
            self._take(items, self._edges.now())
        return True

    def _unit(self) -> int:
        return self._driver.unit if self._settings.unit is None else self._settings.unit

    def _where(self) -> str:
        return f"{self._bus.port if self._bus else self._settings.port} unit {self._unit()}"

    def _port(self) -> SharedPort:
        if self._driver.tcp:
            return self._edges.shared_tcp(self._settings.port)
        own, line = self._settings, self._driver.line
        if self._bus is not None:
            return self._edges.shared_port(
                self._bus.port, LineSettings(self._bus.baud, self._bus.parity, self._bus.stop_bits, line.data_bits)
            )
        settings = LineSettings(
            own.baud or line.baud, own.parity or line.parity, own.stop_bits or line.stop_bits, line.data_bits
        )
        return self._edges.shared_port(own.port, settings)
