"""What runs at this gateway under one configuration, and how it is changed: what stays the same is not disturbed."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from agent import __version__
from agent.app import agent_metrics
from agent.app.routing import MessageRouter
from agent.app.snapshot import snapshot
from agent.base.io.clock import BUILD_MS
from agent.base.io.state_dir import PRIVACY_KEY, board_model
from agent.base.io.worker import Worker
from agent.base.reading import AGENT, Stamp
from agent.base.status import Status
from agent.base.status_views import AGENT_FIELDS
from agent.commands import actions, dispatcher
from agent.commands.actions import CommandActions
from agent.commands.dispatcher import CommandDispatcher
from agent.config.diff import diff
from agent.config.io.credentials import local_file
from agent.config.resolve import ResolvedConfig
from agent.config.settings import Config
from agent.delivery import uplink, wire
from agent.delivery.certificates import renewal
from agent.delivery.certificates.renewal import Renewal
from agent.delivery.connection import Message, Will
from agent.delivery.identity import Description, GatewayIdentity
from agent.delivery.uplink import Uplink
from agent.sensing import context as sensing_context
from agent.sensing import description
from agent.sensing.context import LoopTime, SensorContext
from agent.sensing.factory import sensor_runner
from agent.sensing.io.port_registry import PortRegistry
from agent.sensing.privacy import KEY_BYTES
from agent.sensing.runner import SensorRunner
from agent.store.boot_times import BootTimes
from agent.update.probation import Observation

_SENSORS_STOP_S = 0.5
_CHANGE_GOODBYE_S = 1.0


class RunningSensor:
    """A sensor and the task that runs it, which can be started anew."""

    def __init__(self, make: Callable[[], SensorRunner]) -> None:
        self._make = make
        self.sensor, self.task = self._started()

    def restart(self) -> None:
        """Stop it and start it."""
        self.task.cancel()
        self.sensor, self.task = self._started()

    def _started(self) -> tuple[SensorRunner, "asyncio.Task[None]"]:
        sensor = self._make()
        return sensor, asyncio.create_task(sensor.run(), name=f"sensor {sensor.health.sensor}")

    async def switch(self, on: bool) -> None:
        """Set an output. Raises :class:`LookupError`."""
        await self.sensor.switch(on)

    async def measure(self) -> Mapping[str, object]:
        """The next measurement."""
        return await self.sensor.measure()


class Store(
    sensing_context.SensorStore,
    uplink.Store,
    dispatcher.Store,
    actions.Store,
    agent_metrics.Store,
    renewal.Store,
    Protocol,
):
    """What everything that runs needs of the store of readings."""

    times: BootTimes

    async def describe(self, meta_hash: str, sensors: bytes) -> None: ...


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> Stamp: ...


class State(Protocol):
    """What is kept beside the store."""

    def secret(self, name: str, size_bytes: int) -> bytes: ...
    def next_generation(self) -> int: ...


class Connections(Protocol):
    """How the broker is reached. Raises :class:`~agent.delivery.connection.ConnectionLost`."""

    async def connect(
        self, config: Config, url: str, will: Will | None, mqtt5: bool, guess: bool
    ) -> uplink.Connection: ...


@dataclass(frozen=True, slots=True)
class Requests:
    """Where what the broker sends goes: messages about configurations; signed commands to be opened; configurations to
    be planned over what runs. The last two raise :class:`~agent.base.errors.RejectedError`."""

    configured: Callable[[Message], None]
    opened: Callable[[bytes], Awaitable[bytes]]
    planned: Callable[[bytes, ResolvedConfig], Awaitable[object]]


class Runtime:
    """The running sensors, the uplink and the command desk, changed without disturbing what stays the same.

    ``boot_id``: of this boot.
    """

    def __init__(
        self,
        store: Store,
        state: State,
        clock: Clock,
        boot_id: str,
        certificates: renewal.Certificates,
        connections: Connections,
        requests: Requests,
    ) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._boot_id = boot_id
        self._connections = connections
        self._requests = requests
        self._running: ResolvedConfig | None = None
        self._ports = PortRegistry(clock.now)
        self._link: asyncio.Task[None] | None = None
        self._router: MessageRouter | None = None
        self._lasting: list[asyncio.Task[Any]] = []
        self.sensors: dict[str, RunningSensor] = {}
        self.uplink: Uplink | None = None
        self.safe_mode = False
        """Whether sensors are left out because the agent crashed again and again."""
        self._report: Mapping[str, object] = {}
        self._health_soon = asyncio.Event()
        self._renewal = Renewal(certificates, store, clock.now, BUILD_MS, self._reconnect)

    @property
    def lasting(self) -> list["asyncio.Task[Any]"]:
        """Tasks that end only by a fault, or by a change."""
        return self._lasting

    async def change(self, resolved: ResolvedConfig) -> list[str]:
        """Run this configuration: what :func:`~agent.config.diff.diff` does not name goes on. Gives the names of
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
            description.sensors(config, resolved.drivers, AGENT_FIELDS, AGENT),
            {"model": board_model(), "os": platform.platform(terse=True), "agent": __version__},
            description.site(config),
        )
        await self._store.describe(described.meta_hash, described.sensors)
        self._ports.use(config, resolved.drivers, kept)
        self._store.times.grace_ms = round(config.clock.grace_s * 1000)
        identifiers, key = config.privacy.identifiers, self._privacy_key(config)
        context = SensorContext(self._store, self._clock.now, Worker, LoopTime(), identifiers, key)
        started = [one for one in config.sensor if one.id not in kept]
        for one in started:
            self.sensors[one.id] = RunningSensor(
                partial(sensor_runner, one, resolved.drivers[one.id], context, self._ports)
            )
        if reconnect:
            self._start_uplink(resolved, described)
        return [one.id for one in started]

    def status(self) -> Status:
        """How everything is now."""
        sensors = {name: running.sensor for name, running in self.sensors.items()}
        certificate, now, safe = self._renewal.status(), self._clock.now(), self.safe_mode
        return snapshot(sensors, self.uplink, self._store, self._report, certificate, now, safe_mode=safe)

    def report_health(self) -> None:
        """Send a reading of the agent's own at once: there may be no other one for a long time."""
        self._health_soon.set()

    def report(self, message: Mapping[str, object]) -> None:
        """Publish what came of a configuration, now and in each session."""
        self._report = message
        self._pass_report()

    def observe(self) -> Observation:
        """How sensors and broker are now."""
        tasks = {name: running.sensor for name, running in self.sensors.items()}
        link = self.uplink
        return Observation(
            proven=frozenset(name for name, task in tasks.items() if task.proven),
            lost=frozenset(name for name, task in tasks.items() if task.health.lost),
            online=link is not None and link.online,
            sessions=0 if link is None else link.sessions,
            acknowledged=link is not None and link.telemetry_acknowledged,
            echoed=link is not None and link.echoed,
        )

    def _pass_report(self) -> None:
        if self._report and self._router is not None and self.uplink is not None:
            self._router.reported = wire.reported(self._report)
            self.uplink.wake()

    async def stop_sensors(self) -> None:
        """Stop every sensor, so that nothing new comes."""
        await self._stop_sensors(list(self.sensors))

    async def close(self, goodbye_s: float) -> None:
        """Say goodbye to the broker and let go of the ports."""
        await self._stop_uplink(goodbye_s)
        self._ports.close()

    def _start_uplink(self, resolved: ResolvedConfig, described: Description) -> None:
        config, gateway = resolved.settings, resolved.settings.gateway
        topics = wire.Topics.of(gateway.root, gateway.sector, gateway.site, gateway.id)
        now, opened = self._clock.now, self._requests.opened
        carries_out = CommandActions(self._store, self.status, self._plan, self._renewal, self, self.sensors)
        commands = CommandDispatcher(self._store, config.commands, topics, now, opened, carries_out, self.wake)
        identity = GatewayIdentity(topics, described, __version__, self._boot_id, now)
        self._router = MessageRouter(commands, topics, self._requests.configured)
        connect = partial(self._connections.connect, config)
        self.uplink = uplink = Uplink(
            config, self._store, connect, identity, self._state.next_generation, self._mono_ms, self._router
        )
        self._renewal.use(config.broker, gateway.id)
        self._pass_report()
        self._link = asyncio.create_task(uplink.run(), name="uplink")
        self._lasting = [
            self._link,
            asyncio.create_task(self._health(), name="agent health"),
            asyncio.create_task(commands.run(), name="commands"),
            asyncio.create_task(self._renewal.watch(), name="certificate"),
        ]

    def wake(self) -> None:
        """There may be something to send that waited."""
        if self.uplink is not None:
            self.uplink.wake()

    def send_again(self, stream: str, start: int, stop: int) -> None:
        """Send rows once more (:meth:`~agent.delivery.uplink.Uplink.send_again`)."""
        if self.uplink is not None:
            self.uplink.send_again(stream, start, stop)

    def _reconnect(self) -> None:
        if self.uplink is not None:
            self.uplink.reconnect()

    async def _plan(self, raw: bytes) -> object:
        """What a configuration would change here; nothing is kept of it. Raises :class:`Refused`."""
        if self._running is None:
            raise LookupError("nothing runs yet")
        return await self._requests.planned(raw, self._running)

    def _mono_ms(self) -> int:
        return self._clock.now().mono_ms

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

    async def _health(self) -> None:
        await agent_metrics.report(self._store, self.status, self._clock.now, self._health_soon)

    def _privacy_key(self, config: Config) -> bytes:
        """The key of the pseudonyms: the configured one, or one that is made at the first start."""
        if config.privacy.key_file:
            return local_file(config.privacy.key_file).read_bytes().strip()
        return self._state.secret(PRIVACY_KEY, KEY_BYTES)
