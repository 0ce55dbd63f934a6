"""The city of the demo: three places, what they are equipped with, and the agents that run there."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.edges.database import Database
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model, waving

_STOP_S = 6.0


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway with its devices: sensor id -> driver. Each also reports its computer's own health."""

    gateway: str
    site: str
    sector: str
    title: str
    devices: tuple[tuple[str, str], ...]


PLACES = (
    Place("batua-01", "puskesmas-batua", "health", "Puskesmas Batua, clinic",
          (("co2-1", "mhz19"), ("dust-1", "pms5003"))),
    Place("pos-1", "checkpoint-tol", "security", "Toll checkpoint",
          (("speed-1", "ops243"), ("scale-1", "cas_scale"), ("gps-1", "nmea0183"))),
    Place("halte-7", "halte-karebosi", "mobility", "Karebosi bus stop",
          (("air-1", "sds011"), ("flood-1", "a02yyuw"))),
)  # fmt: skip

_CONFIGURATION = """\
[gateway]
id = "{gateway}"
site = "{site}"
sector = "{sector}"
name = "{title}"
[broker]
url = "mqtt://127.0.0.1:{port}"
# The demo's embedded broker speaks only this one, and is slow to say so.
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
    """One place's agent, in a process of its own, with its devices on ptys. ``heard`` gets its log lines."""

    def __init__(self, place: Place, folder: Path, heard: Callable[[str, str], None]) -> None:
        self.place = place
        self._folder = folder / place.gateway
        self._folder.mkdir()
        self._heard = heard
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ports = {sensor: self._folder / f"tty-{sensor}" for sensor, _ in place.devices}
        self._plugged = contextlib.AsyncExitStack()

    async def start(self, broker_port: int) -> None:
        """Plug the devices in and start the agent."""
        place = self.place
        text = _CONFIGURATION.format(
            gateway=place.gateway, site=place.site, sector=place.sector, title=place.title, port=broker_port
        )
        for sensor, driver in place.devices:
            device = model(driver)
            simulated = SimulatedDevice(device, values=waving(device.typical), link=self._ports[sensor])
            await self._plugged.enter_async_context(simulated)
            text += _SENSOR.format(id=sensor, driver=driver, port=self._ports[sensor])
        file = self._folder / "gardu.toml"
        file.write_text(text)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "run", "--config", str(file), "--state", str(self._folder / "state"),
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen(self._process))

    async def stop(self) -> int:
        """End the agent as systemd would, and unplug; give its exit status."""
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
        await self._plugged.aclose()
        return status

    def accepted(self) -> int:
        """How many readings and events the agent took, by its store's own account. After :meth:`stop`."""
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
            self._heard(self.place.gateway, line.decode(errors="replace").rstrip())
