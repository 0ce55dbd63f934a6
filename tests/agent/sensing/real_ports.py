"""Ports for sensors under test: real ptys and files, buses and lines that are simulated; one device of each kind."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from agent.base.io.worker import Worker
from agent.config.io.catalog import Catalog
from agent.config.settings import Bus, Sensor
from agent.sensing.context import LoopTime, SensorContext
from agent.sensing.factory import sensor_runner
from agent.sensing.io.modbus_tcp import ModbusTcpLink
from agent.sensing.io.onewire import W1Files
from agent.sensing.io.serial_port import SerialLink
from agent.sensing.runner import SensorRunner
from agent.sensing.sources.blocking_bus import BlockingBus
from agent.sensing.sources.shared_port import SharedPort
from drivers.sdk.contract import Driver, LineSettings
from drivers.sim.i2c import SimulatedI2c, simulated_chip
from drivers.sim.modbus import SimulatedModbus, SimulatedUnit
from tests.agent.fakes import FakeClock, FakeStore
from tests.agent.sensing.sources.gpio_fakes import Change

SDS011 = bytes.fromhex("AAC0D4043A0AA1601DAB")
PROBE = "96 01 4b 46 7f ff 0c 10 a0 : crc=a0 YES\n96 01 4b 46 7f ff 0c 10 a0 t=25375"


class Lines:
    """Lines that are high and change every ``period_s``; never where it is None."""

    def __init__(self, period_s: float | None) -> None:
        self._period_s = period_s
        self._level = 1
        self._loop = asyncio.get_running_loop()

    def levels(self) -> Mapping[str, int]:
        return {"line": self._level}

    def now_s(self) -> float:
        return self._loop.time()

    def drive(self, level: int) -> None: ...

    async def edges(self, timeout_s: float) -> list[Change]:
        await asyncio.sleep(timeout_s if self._period_s is None else min(timeout_s, self._period_s))
        if self._period_s is None:
            return []
        self._level = 1 - self._level
        return [Change(self.now_s(), "line", self._level)]

    def close(self) -> None: ...


class Chip:
    """An I2C chip that answers anything."""

    def write(self, raw: bytes) -> None: ...

    def read(self, count: int) -> bytes:
        return bytes(count)


class OpenI2c(SimulatedI2c):
    """A bus that can be closed."""

    def close(self) -> None: ...


class RealPorts:
    """What sensors ask for. Devices are there once :func:`gateway` has put them in."""

    def __init__(self, folder: Path, edge_period_s: float | None) -> None:
        self.buses: dict[str, Bus] = {}
        self.w1 = BlockingBus("1-Wire", lambda: W1Files(folder), Worker)
        chips = {0x76: simulated_chip("bme280"), 0x50: Chip()}
        self.i2c = BlockingBus("I2C 1", lambda: OpenI2c(chips), Worker)
        self._shared: dict[str, SharedPort] = {}
        self._edge_period_s = edge_period_s

    def open_port(self, name: str, line: LineSettings) -> SerialLink:
        return SerialLink.open(name, line)

    def shared_port(self, name: str, line: LineSettings) -> SharedPort:
        async def open_link() -> SerialLink:
            return SerialLink.open(name, line)

        return self._shared.setdefault(name, SharedPort(open_link))

    def shared_tcp(self, name: str) -> SharedPort:
        async def open_link() -> ModbusTcpLink:
            return await ModbusTcpLink.open(name)

        return self._shared.setdefault(name, SharedPort(open_link))

    def i2c_bus(self, number: int) -> BlockingBus[OpenI2c]:
        return self.i2c

    def w1_bus(self) -> BlockingBus[W1Files]:
        return self.w1

    def open_lines(self, chip: str, lines: Any, output: int | None) -> Lines:
        return Lines(self._edge_period_s)

    def worker(self, name: str) -> Worker:
        return Worker(name)

    def now(self) -> Any:
        return FakeClock().stamp()

    def close(self) -> None:
        for port in (self.i2c, self.w1, *self._shared.values()):
            port.close()


class Speaker:
    """A device on a pty of its own: a frame of an SDS011 now and, with ``period_s``, again and again."""

    def __init__(self, period_s: float | None) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._period_s = period_s

    async def __aenter__(self) -> "Speaker":
        self._task = asyncio.create_task(self._speak())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        os.close(self._master)
        os.close(self._slave)

    async def _speak(self) -> None:
        while True:
            os.write(self._master, SDS011)
            await asyncio.sleep(3600.0 if self._period_s is None else self._period_s)


class Gateway:
    """Runs sensors over :class:`RealPorts`. ``places``: for each kind, where its two devices are."""

    def __init__(self, ports: RealPorts, places: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> None:
        self.store = FakeStore(FakeClock())
        self._ports = ports
        self._places = places
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, driver: Driver, kind: str, device: int, interval_s: float | None) -> SensorRunner:
        settings = Sensor(id=name, driver=driver.name, interval_s=interval_s, **self._places[kind][device])
        context = SensorContext(self.store, self._ports.now, self._ports.worker, LoopTime())
        runner = sensor_runner(settings, driver, context, self._ports)  # type: ignore[arg-type]
        self._tasks.append(asyncio.create_task(runner.run()))
        return runner

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [*self.store.bodies(f"telemetry/{name}"), *self.store.bodies(f"event/{name}")]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


DRIVERS: Mapping[str, str] = {
    "serial": "sds011",
    "polled": "system",
    "i2c": "bme280",
    "onewire": "ds18b20",
    "modbus": "pzem004t",
    "gpio": "gpio_in",
}
"""A driver of each kind, for the device 0 of its place."""


def shipped(kind: str) -> Driver:
    """The driver for device 0 of a kind."""
    return Catalog().get(DRIVERS[kind])


@asynccontextmanager
async def gateway(folder: Path, period_s: float | None) -> AsyncIterator[Gateway]:
    """Two devices of each kind, on one bus where the kind has buses. ``period_s``: how often those that speak by
    themselves do; once where it is None."""
    for name in ("28-00000000000a", "28-00000000000b"):
        (folder / name).mkdir()
        (folder / name / "w1_slave").write_text(PROBE)
    ports = RealPorts(folder, period_s)
    async with AsyncExitStack() as devices:
        speakers = [await devices.enter_async_context(Speaker(period_s)) for _ in range(2)]
        units = {1: SimulatedUnit("pzem004t"), 2: SimulatedUnit("pzem004t")}
        line = await devices.enter_async_context(SimulatedModbus(units))
        ports.buses["rs485-0"] = Bus("rs485-0", line.port)
        lines = [{"chip": "gpiochip0", "line": one} for one in range(2)]
        one = Gateway(
            ports,
            {
                "serial": ({"port": speakers[0].port}, {"port": speakers[1].port}),
                "polled": ({}, {}),
                "i2c": ({}, {"address": 0x50}),
                "onewire": ({"w1": "28-00000000000a"}, {"w1": "28-00000000000b"}),
                "modbus": ({"bus": "rs485-0", "unit": 1}, {"bus": "rs485-0", "unit": 2}),
                "gpio": (lines[0], lines[1]),
            },
        )
        try:
            yield one
        finally:
            await one.stop()
            ports.close()
