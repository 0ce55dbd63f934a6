"""The city of the demo: three places, their devices, and the agents that run there."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.store.io.database import Database
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import Values, model, waving
from drivers.sim.route import AROUND_KAREBOSI, drive_around

_STOP_S = 6.0
_BUS_SPEED_M_S = 7.0


@dataclass(frozen=True, slots=True)
class Device:
    """A simulated device. ``fields``: the fields to show, at most four; its gateway publishes all of them.
    ``interval_s``: publish at most one reading in this time; 0 for all."""

    sensor: str
    driver: str
    fields: tuple[str, ...]
    interval_s: int = 0

    def values(self, typical: Values) -> Callable[[int], Values]:
        """Return a function from the frame's number to the measured values."""
        if self.driver == "nmea0183":
            return drive_around(AROUND_KAREBOSI, _BUS_SPEED_M_S)
        return waving(typical)


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway with its devices. Each gateway also reports the health of its computer."""

    gateway: str
    site: str
    sector: str
    title: str
    devices: tuple[Device, ...]

    def shown(self, sensor: str) -> tuple[str, ...]:
        """Return the fields of a sensor to show."""
        return next((device.fields for device in self.devices if device.sensor == sensor), SYSTEM_FIELDS)


SYSTEM_FIELDS = ("cpu_temp", "load", "mem_free", "disk_free")

PLACES = (
    Place(
        "batua-01",
        "puskesmas-batua",
        "health",
        "Puskesmas Batua, clinic",
        (Device("co2-1", "mhz19", ("co2",)), Device("dust-1", "pms5003", ("pm1", "pm2_5", "pm10"))),
    ),
    Place(
        "pos-1",
        "checkpoint-tol",
        "security",
        "Toll checkpoint",
        (Device("speed-1", "ops243", ("speed", "direction")), Device("scale-1", "cas_scale", ("weight", "stable"), 1)),
    ),
    Place(
        "halte-7",
        "halte-karebosi",
        "mobility",
        "Karebosi bus stop",
        (
            Device("air-1", "sds011", ("pm2_5", "pm10")),
            Device("flood-1", "a02yyuw", ("distance",), 1),
            Device("bus-3", "nmea0183", ("lat", "lon", "speed", "course")),
        ),
    ),
)

_CONFIGURATION = """\
[gateway]
id = "{gateway}"
site = "{site}"
sector = "{sector}"
name = "{title}"
[broker]
url = "mqtt://127.0.0.1:{port}"
# The demo's embedded broker supports only this version, and is slow to reject the other.
protocol = "3.1.1"
[publish]
max_delay_s = 1
[store]
commit_s = 0.5
[[sensor]]
id = "system"
driver = "system"
interval_s = 5
"""
_SENSOR = """\
[[sensor]]
id = "{id}"
driver = "{driver}"
port = "{port}"
"""


class Agent:
    """One place's agent in its own process, with its devices on ptys. ``on_line`` receives its log lines."""

    def __init__(self, place: Place, folder: Path, on_line: Callable[[str, str], None]) -> None:
        self.place = place
        self._folder = folder / place.gateway
        self._folder.mkdir()
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ports = {device.sensor: self._folder / f"tty-{device.sensor}" for device in place.devices}
        self._devices = contextlib.AsyncExitStack()

    async def start(self, broker_port: int) -> None:
        """Plug in the devices and start the agent."""
        place = self.place
        text = _CONFIGURATION.format(
            gateway=place.gateway, site=place.site, sector=place.sector, title=place.title, port=broker_port
        )
        for device in place.devices:
            original, port = model(device.driver), self._ports[device.sensor]
            simulated = SimulatedDevice(original, values=device.values(original.typical), link=port)
            await self._devices.enter_async_context(simulated)
            text += _SENSOR.format(id=device.sensor, driver=device.driver, port=port)
            if device.interval_s:
                text += f"interval_s = {device.interval_s}\n"
        file = self._folder / "gardu.toml"
        file.write_text(text)
        command = (sys.executable, "-m", "agent", "run", "--config", file, "--state", self._folder / "state")
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        self._listening = asyncio.create_task(self._listen(self._process))

    async def stop(self) -> int:
        """Stop the agent as systemd would, unplug the devices, and return the exit status."""
        status = -1
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                status = await asyncio.wait_for(self._process.wait(), _STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._listening is not None:
            await self._listening
        await self._devices.aclose()
        return status

    def accepted(self) -> int:
        """Return how many readings and events the agent accepted, according to its store. Call it after
        :meth:`stop`."""
        file = self._folder / "state" / "store.db"
        if not file.exists():
            return 0
        database = Database(file, 1 << 28, "00000000", "00000000")
        try:
            return sum(account.next - 1 for account in database.accounts.values())
        finally:
            database.close()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self._on_line(self.place.gateway, line.decode(errors="replace").rstrip())
