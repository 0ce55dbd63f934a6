"""Wires everything for one configuration, runs it, and takes it down in the right order."""

import asyncio
import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agent import __version__
from agent.core import description, events, wire
from agent.core.link import Will
from agent.core.privacy import KEY_BYTES
from agent.core.reading import AGENT
from agent.core.settings import Config, Sensor
from agent.core.text import say
from agent.edges import broker, clock
from agent.edges.state_dir import StateDir, board_serial
from agent.edges.store import Store
from agent.services import agent_health
from agent.services.commands import CommandDesk
from agent.services.presence import Description, Presence
from agent.services.sensor import SensorTask, Surroundings
from agent.services.sensors import sensor_task
from agent.services.uplink import Uplink
from agent.wiring import Wiring
from drivers.sdk.contract import Driver

_log = logging.getLogger(__name__)

_STOP_S = 4.5
"""The agent stops within 5 s, whatever a driver, the disk or the broker does."""
_SENSORS_STOP_S = 0.5
_FLUSH_S = 1.0
_GOODBYE_S = 2.5


class Fault(Exception):
    """A part of the agent ended that never should: a fault of the program."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration with its sensors' drivers, by sensor id."""

    config: Config
    drivers: Mapping[str, Driver]


class RunningSensor:
    """A sensor and the task that runs it, which can be started anew."""

    def __init__(self, make: Callable[[], SensorTask]) -> None:
        self._make = make
        self.sensor, self.task = self._started()

    def restart(self) -> None:
        """Stop it and start it."""
        self.task.cancel()
        self.sensor, self.task = self._started()

    def _started(self) -> tuple[SensorTask, "asyncio.Task[None]"]:
        sensor = self._make()
        return sensor, asyncio.create_task(sensor.run(), name=f"sensor {sensor.health.sensor}")

    async def measure(self) -> Mapping[str, object]:
        """The next measurement."""
        return await self.sensor.measure()

    def diagnose(self) -> Mapping[str, object]:
        """How the sensor is."""
        return self.sensor.diagnose()


class Supervisor:
    """One agent over one state directory. ``stop`` and ``reload`` may be called at any time, from the event loop."""

    def __init__(self, setup: Setup, state_dir: StateDir) -> None:
        self._setup = setup
        self._next: Setup | None = None
        self._state_dir = state_dir
        self._changed = asyncio.Event()
        self._stopping = False
        self._bid = clock.boot_id()
        self._clock = clock.Clock()

    def stop(self) -> None:
        """End :meth:`run` in good order."""
        self._stopping = True
        self._changed.set()

    def reload(self, setup: Setup) -> None:
        """Go on with another configuration."""
        self._next = setup
        self._changed.set()

    async def run(self) -> None:
        """Run until :meth:`stop`. Raises :class:`~agent.edges.database.StoreError` if the store cannot be opened, and
        :class:`Fault`."""
        config = self._setup.config
        store = await Store.open(
            self._state_dir.path / config.store.path, config.store.max_bytes, config.store.commit_s, self._bid,
            board_serial(), self._clock.now,
        )  # fmt: skip
        self._clock.raise_floor(await store.newest_ms())
        deadline_s = asyncio.get_running_loop().time()
        try:
            reason = "start"
            while not self._stopping:
                self._changed.clear()
                deadline_s = await self._serve(store, reason)
                if self._next is not None:
                    self._setup, self._next = self._next, None
                    reason = "reload"
                    _log.info(say("the configuration was read again"))
        finally:
            left_s = max(0.3, deadline_s - asyncio.get_running_loop().time())
            if not await store.close(left_s):
                _log.error(say("the disk did not take the last readings in time"))

    async def _serve(self, store: Store, reason: str) -> float:
        """Run one configuration until something changes; give the time by which to have stopped (loop seconds)."""
        config = self._setup.config
        described = Description(
            description.sensors(config, self._setup.drivers, agent_health.FIELDS, AGENT),
            {"model": _model(), "os": platform.platform(terse=True), "agent": __version__},
            description.site(config),
        )
        await store.describe(described.mh, described.sensors)
        presence = Presence(_topics(config), described, __version__, self._bid, self._clock.now)
        desk = CommandDesk(store, config.commands, presence.topics, self._clock.now, __version__)
        uplink = Uplink(config, store, self._connect, presence, self._state_dir.next_generation, clock.mono_ms, desk)
        wiring = Wiring(self._clock.now, config)
        around = Surroundings(store, config.privacy.identifiers, self._privacy_key(config))
        sensors = {one.id: RunningSensor(partial(self._sensor, one, around, wiring)) for one in config.sensor}
        desk.uplink, desk.sensors = uplink, sensors
        store.announce(events.started(__version__, reason))
        link = asyncio.create_task(uplink.run(), name="uplink")
        lasting = [
            link,
            asyncio.create_task(self._report(store, sensors), name="agent health"),
            asyncio.create_task(desk.run(), name="commands"),
        ]
        try:
            await self._until_changed((store.task, *lasting))
            running = [*(one.task for one in sensors.values()), *lasting[1:]]
            return await self._take_down(store, uplink, link, running)
        finally:
            wiring.close()

    async def _until_changed(self, lasting: tuple["asyncio.Task[Any]", ...]) -> None:
        changed = asyncio.create_task(self._changed.wait())
        await asyncio.wait((changed, *lasting), return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        for task in lasting:
            if task.done():
                raise Fault(f"{task.get_name()}: {task.exception()!r}") from task.exception()

    async def _take_down(
        self, store: Store, uplink: Uplink, link: "asyncio.Task[None]", tasks: list["asyncio.Task[Any]"]
    ) -> float:
        """Sensors first, so that nothing new comes; then the store, then the goodbye to the broker."""
        deadline_s = asyncio.get_running_loop().time() + _STOP_S
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_SENSORS_STOP_S)
        store.announce(events.stopped("shutdown" if self._stopping else "reload"))
        flush = asyncio.create_task(store.flush())
        await asyncio.wait((flush,), timeout=_FLUSH_S)
        flush.cancel()
        uplink.stop(_GOODBYE_S)
        await asyncio.wait((link,), timeout=_GOODBYE_S + 0.2)
        link.cancel()
        await asyncio.gather(link, flush, return_exceptions=True)
        return deadline_s

    def _sensor(self, settings: Sensor, around: Surroundings, wiring: Wiring) -> SensorTask:
        return sensor_task(settings, self._setup.drivers[settings.id], around, wiring)

    async def _report(self, store: Store, sensors: Mapping[str, RunningSensor]) -> None:
        await agent_health.report(store, lambda: [one.sensor.health for one in sensors.values()], self._clock.now)

    def _privacy_key(self, config: Config) -> bytes:
        """The key of the pseudonyms: the configured one, or one that is made at the first start."""
        if config.privacy.key_file:
            return broker.local_file(config.privacy.key_file).read_bytes().strip()
        return self._state_dir.secret("privacy.key", KEY_BYTES)

    async def _connect(self, url: str, will: Will, five: bool, guess: bool) -> broker.Link:
        config = self._setup.config
        return await broker.connect(config.broker, url, config.gateway.id, will, five, guess)


def _topics(config: Config) -> wire.Topics:
    gateway = config.gateway
    return wire.Topics.of(gateway.root, gateway.field, gateway.site, gateway.id)


def _model() -> str:
    """The computer's model, where the firmware tells."""
    try:
        return Path("/sys/firmware/devicetree/base/model").read_text().rstrip("\0\n")
    except OSError:
        return platform.machine()
