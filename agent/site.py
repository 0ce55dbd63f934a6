"""What runs at this gateway under one configuration, and how it is changed: what stays the same is not disturbed."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agent import __version__
from agent.core import description, wire
from agent.core.config_diff import diff
from agent.core.config_resolve import ResolvedConfig
from agent.core.link import Message, Will
from agent.core.privacy import KEY_BYTES
from agent.core.reading import AGENT
from agent.core.refusal import Refused
from agent.core.settings import Broker, Config, Sensor
from agent.core.text import say
from agent.edges import broker, clock
from agent.edges.client_certificate import ClientCertificate
from agent.edges.credentials import local_file
from agent.edges.state_dir import PRIVACY_KEY, StateDir
from agent.edges.store import Store
from agent.port_registry import PortRegistry
from agent.services import agent_health
from agent.services.command_actions import CommandActions
from agent.services.commands import CommandDesk
from agent.services.presence import Description, Presence
from agent.services.renewal import Renewal
from agent.services.sensor import SensorTask, Surroundings
from agent.services.sensors import sensor_task
from agent.services.uplink import Uplink

_SENSORS_STOP_S = 0.5
_CHANGE_GOODBYE_S = 1.0


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

    def switch(self, on: bool) -> None:
        """Set an output. Raises :class:`LookupError`."""
        self.sensor.switch(on)

    async def measure(self) -> Mapping[str, object]:
        """The next measurement."""
        return await self.sensor.measure()

    def diagnose(self) -> Mapping[str, object]:
        """How the sensor is."""
        return self.sensor.diagnose()


class Mailroom:
    """Hands what the broker sends to who it is for. An :class:`~agent.services.session.Inbox`."""

    def __init__(self, desk: CommandDesk, topics: wire.Topics, configured: Callable[[Message], None]) -> None:
        self._desk = desk
        self._topics = topics
        self._configured = configured
        self.reported: bytes = b""
        self._told: bytes = b""

    def topics(self) -> list[str]:
        """What is to be subscribed to. Called at the start of each session: what was reported is told again."""
        self._told = b""
        return [*self._desk.topics(), self._topics.desired, self._topics.trust]

    def take(self, message: Message) -> None:
        """A message came."""
        if message.topic in (self._topics.desired, self._topics.trust):
            self._configured(message)
        else:
            self._desk.take(message)

    def answer(self) -> tuple[str, bytes, bool] | None:
        """The next message to be sent."""
        if self.reported != self._told:
            self._told = self.reported
            return self._topics.reported, self.reported, True
        return self._desk.answer()

    def flushed(self) -> bool:
        """Whether everything is to be sent at once."""
        return self._desk.flushed()


class Site:
    """The running sensors, the uplink and the command desk. ``on_configuration``: where messages about configurations
    go."""

    def __init__(self, store: Store, state_dir: StateDir, now: clock.Clock, bid: str) -> None:
        self._store = store
        self._state_dir = state_dir
        self._clock = now
        self._bid = bid
        self._running: ResolvedConfig | None = None
        self._ports = PortRegistry(now.now)
        self._link: asyncio.Task[None] | None = None
        self._mail: Mailroom | None = None
        self._lasting: list[asyncio.Task[Any]] = []
        self.sensors: dict[str, RunningSensor] = {}
        self.uplink: Uplink | None = None
        self.on_configuration: Callable[[Message], None] = lambda message: None
        self.opened: Callable[[bytes], Awaitable[bytes]] = _never_opened
        self.planned: Callable[[bytes], Awaitable[object]] = _never_opened
        self._report: Mapping[str, object] = {}
        self._health_soon = asyncio.Event()
        self._certificate = ClientCertificate(state_dir.path / "certificates")
        self._renewal = Renewal(self._certificate, store, now.now, clock.BUILD_MS)

    @property
    def lasting(self) -> list["asyncio.Task[Any]"]:
        """Tasks that end only by a fault, or by a change."""
        return self._lasting

    async def change(self, resolved: ResolvedConfig) -> list[str]:
        """Run this configuration: what :func:`~agent.core.config_diff.diff` does not name goes on. Gives the names of
        the sensors that were started."""
        changes = diff(self._running, resolved)
        self._running = resolved
        reconnect = changes.reconnect or not self._lasting
        if reconnect:
            await self._stop_uplink(_CHANGE_GOODBYE_S)
        # What runs is asked, and not only what changed: a change before this one may have failed halfway.
        kept = {name for name in self.sensors if name not in changes.started | changes.removed}
        await self._stop_sensors([name for name in self.sensors if name not in kept])
        config = resolved.settings
        described = Description(
            description.sensors(config, resolved.drivers, agent_health.FIELDS, AGENT),
            {"model": _model(), "os": platform.platform(terse=True), "agent": __version__},
            description.site(config),
        )
        await self._store.describe(described.mh, described.sensors)
        self._ports.use(config, resolved.drivers, kept)
        self._store.times.grace_ms = round(config.clock.grace_s * 1000)
        around = Surroundings(self._store, config.privacy.identifiers, self._privacy_key(config))
        started = [one for one in config.sensor if one.id not in kept]
        for one in started:
            self.sensors[one.id] = RunningSensor(partial(self._sensor, resolved, one, around))
        if reconnect:
            self._start_uplink(resolved, described)
        return [one.id for one in started]

    def report_health(self) -> None:
        """Send a reading of the agent's own at once: there may be no other one for a long time."""
        self._health_soon.set()

    def tell(self, report: Mapping[str, object]) -> None:
        """Publish what came of a configuration, now and in each session."""
        self._report = report
        self._tell()

    def _tell(self) -> None:
        if self._report and self._mail is not None and self.uplink is not None:
            self._mail.reported = wire.reported(self._report)
            self.uplink.wake()

    async def stop_sensors(self) -> None:
        """Stop every sensor, so that nothing new comes."""
        await self._stop_sensors(list(self.sensors))

    async def close(self, goodbye_s: float) -> None:
        """Say goodbye to the broker and let go of the ports."""
        await self._stop_uplink(goodbye_s)
        self._ports.close()

    def _start_uplink(self, resolved: ResolvedConfig, described: Description) -> None:
        config = resolved.settings
        gateway = config.gateway
        topics = wire.Topics.of(gateway.root, gateway.sector, gateway.site, gateway.id)
        actions = CommandActions(self._store, self._clock.now, __version__, self.planned, self._renewal)
        desk = CommandDesk(self._store, config.commands, topics, self._clock.now, self.opened, actions, self.wake)
        presence = Presence(topics, described, __version__, self._bid, self._clock.now)
        self._mail = Mailroom(desk, topics, self.on_configuration)
        connect = partial(self._connect, config)
        uplink = Uplink(
            config, self._store, connect, presence, self._state_dir.next_generation, clock.mono_ms, self._mail
        )
        actions.uplink, actions.sensors, self.uplink = uplink, self.sensors, uplink
        self._renewal.reconnect = uplink.reconnect
        self._renewal.use(config.broker, gateway.id)
        self._tell()
        self._link = asyncio.create_task(uplink.run(), name="uplink")
        self._lasting = [
            self._link,
            asyncio.create_task(self._health(), name="agent health"),
            asyncio.create_task(desk.run(), name="commands"),
            asyncio.create_task(self._renewal.watch(), name="certificate"),
        ]

    def wake(self) -> None:
        """There may be something to send that waited."""
        if self.uplink is not None:
            self.uplink.wake()

    async def _stop_uplink(self, goodbye_s: float) -> None:
        ending, self._lasting = self._lasting, []  # they end on purpose now
        if self.uplink is not None and self._link is not None:
            self.uplink.stop(goodbye_s)
            await asyncio.wait((self._link,), timeout=goodbye_s + 0.2)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _stop_sensors(self, names: list[str]) -> None:
        tasks = [self.sensors.pop(name).task for name in names]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_SENSORS_STOP_S)

    def _sensor(self, resolved: ResolvedConfig, settings: Sensor, around: Surroundings) -> SensorTask:
        return sensor_task(settings, resolved.drivers[settings.id], around, self._ports)

    async def _health(self) -> None:
        await agent_health.report(
            self._store, lambda: [one.sensor.health for one in self.sensors.values()], self._clock.now,
            self._renewal.left_s, self._health_soon,
        )  # fmt: skip

    def _privacy_key(self, config: Config) -> bytes:
        """The key of the pseudonyms: the configured one, or one that is made at the first start."""
        if config.privacy.key_file:
            return local_file(config.privacy.key_file).read_bytes().strip()
        return self._state_dir.secret(PRIVACY_KEY, KEY_BYTES)

    async def _connect(self, config: Config, url: str, will: Will | None, five: bool, guess: bool) -> broker.Link:
        async def attempt(settings: Broker) -> broker.Link:
            return await broker.connect(settings, url, config.gateway.id, will, five, guess)

        return await self._certificate.connect(config.broker, url, attempt)


async def _never_opened(raw: bytes) -> bytes:
    raise Refused("no_trust", say("this gateway trusts nobody yet: install trust.json"))


def _model() -> str:
    """The computer's model, where the firmware tells."""
    try:
        return Path("/sys/firmware/devicetree/base/model").read_text().rstrip("\0\n")
    except OSError:
        return platform.machine()
