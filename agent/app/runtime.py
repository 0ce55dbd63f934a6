"""Everything that runs under one configuration. A change restarts only what differs."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from agent import __version__
from agent.app import agent_metrics
from agent.app.routing import MessageRouter
from agent.app.running_sensor import RunningSensor
from agent.app.snapshot import configuration_status, snapshot
from agent.base.io.clock import BUILD_MS
from agent.base.io.state_dir import PRIVACY_KEY, board_model
from agent.base.io.worker import Worker
from agent.base.reading import AGENT, Stamp
from agent.base.status import Status
from agent.base.status_views import AGENT_FIELDS
from agent.base.timekeeping.gnss_time import time_of
from agent.commands import context as command_context
from agent.commands.context import CommandContext
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
from agent.store.boot_times import BootTimes
from agent.update.probation import Observation
from drivers.sdk.contract import Measurement

_SENSORS_STOP_S = 0.5
_CHANGE_GOODBYE_S = 1.0


class Store(
    sensing_context.SensorStore,
    uplink.Store,
    command_context.Store,
    agent_metrics.Store,
    renewal.Store,
    Protocol,
):
    """What the parts of the runtime need from the store of readings."""

    times: BootTimes

    async def describe(self, meta_hash: str, sensors: bytes) -> None: ...


class Clock(Protocol):
    """The time, from the system clock or from a GNSS receiver."""

    def now(self) -> Stamp: ...
    def offer_gnss(self, t: int, mono_ms: int) -> None: ...
    def forget_gnss(self) -> None: ...


class State(Protocol):
    """The state directory."""

    def secret(self, name: str, size_bytes: int) -> bytes: ...
    def next_generation(self) -> int: ...


class Connections(Protocol):
    """Connects to the broker. Raises :class:`~agent.delivery.connection.ConnectionLost`."""

    async def connect(
        self, config: Config, url: str, will: Will | None, mqtt5: bool, guess: bool
    ) -> uplink.Connection: ...


@dataclass(frozen=True, slots=True)
class Handlers:
    """``on_config`` handles a message about configurations, ``open_command`` verifies a signed command and returns its
    payload, ``plan`` compares a configuration with the running one. The last two raise ``RejectedError``."""

    on_config: Callable[[Message], None]
    open_command: Callable[[bytes], Awaitable[bytes]]
    plan: Callable[[bytes, ResolvedConfig], Awaitable[object]]


class Runtime:
    """The running sensors, the uplink and the command dispatcher of one configuration, which can be changed."""

    def __init__(
        self,
        store: Store,
        state: State,
        clock: Clock,
        boot_id: str,
        certificates: renewal.Certificates,
        connections: Connections,
        handlers: Handlers,
    ) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._boot_id = boot_id
        self._connections = connections
        self._handlers = handlers
        self._running: ResolvedConfig | None = None
        self._ports = PortRegistry(clock.now)
        self._link: asyncio.Task[None] | None = None
        self._router: MessageRouter | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self.sensors: dict[str, RunningSensor] = {}
        self.uplink: Uplink | None = None
        self.safe_mode = False
        """Whether the sensors are off because the agent crashed repeatedly."""
        self._report: Mapping[str, object] = {}
        self._rejected_edit = ""
        self._health_soon = asyncio.Event()
        self._renewal = Renewal(certificates, store, clock.now, BUILD_MS, self._reconnect)

    @property
    def tasks(self) -> list["asyncio.Task[Any]"]:
        """Tasks that end only by an internal error, or by a change of the configuration."""
        return self._tasks

    async def change(self, resolved: ResolvedConfig) -> list[str]:
        """Run this configuration. Restarts only what :func:`~agent.config.diff.diff` names. Returns the ids of the
        sensors that were started."""
        changes = diff(self._running, resolved)
        self._running = resolved
        reconnect = changes.reconnect or not self._tasks
        if reconnect:
            await self._stop_uplink(_CHANGE_GOODBYE_S)
        # Compare with the running sensors too, not only with the diff: an earlier change may have failed halfway.
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
        clock_context = replace(context, on_measurement=self._offer_time)
        started = [settings for settings in config.sensor if settings.id not in kept]
        if config.clock.source not in kept:
            self._clock.forget_gnss()
        for settings in started:
            used = clock_context if settings.id == config.clock.source else context
            self.sensors[settings.id] = RunningSensor(
                partial(sensor_runner, settings, resolved.drivers[settings.id], used, self._ports)
            )
        if reconnect:
            self._start_uplink(resolved, described)
        return [settings.id for settings in started]

    def _offer_time(self, measurement: Measurement, stamp: Stamp) -> None:
        t = time_of(measurement, BUILD_MS)
        if t is not None:
            self._clock.offer_gnss(t, stamp.mono_ms)

    def status(self) -> Status:
        """Return a snapshot of everything that runs."""
        sensors = {name: running.sensor for name, running in self.sensors.items()}
        configuration = configuration_status(self._report, self._rejected_edit)
        certificate, now, safe = self._renewal.status(), self._clock.now(), self.safe_mode
        return snapshot(sensors, self.uplink, self._store, configuration, certificate, now, safe_mode=safe)

    def report_health(self) -> None:
        """Send one of the agent's own readings at once; the sensors may not send one for a long time."""
        self._health_soon.set()

    def report(self, message: Mapping[str, object], rejected_edit: str = "") -> None:
        """Publish ``config/reported``, now and in each session. ``rejected_edit``: why the gateway's own files were
        rejected, for the status."""
        self._report, self._rejected_edit = message, rejected_edit
        self._publish_report()

    def observe(self) -> Observation:
        """Return how the sensors and the broker are doing."""
        runners = {name: running.sensor for name, running in self.sensors.items()}
        link = self.uplink
        return Observation(
            proven=frozenset(name for name, runner in runners.items() if runner.proven),
            lost=frozenset(name for name, runner in runners.items() if runner.health.lost),
            online=link is not None and link.online,
            sessions=0 if link is None else link.sessions,
            acknowledged=link is not None and link.telemetry_acknowledged,
            echoed=link is not None and link.echoed,
        )

    def _publish_report(self) -> None:
        if self._report and self._router is not None and self.uplink is not None:
            self._router.reported = wire.reported(self._report)
            self.uplink.wake()

    async def stop_sensors(self) -> None:
        """Stop every sensor, so that no new readings arrive."""
        await self._stop_sensors(list(self.sensors))

    async def close(self, goodbye_s: float) -> None:
        """Disconnect from the broker, within ``goodbye_s`` seconds, and close the ports."""
        await self._stop_uplink(goodbye_s)
        self._ports.close()

    def _start_uplink(self, resolved: ResolvedConfig, described: Description) -> None:
        config, gateway = resolved.settings, resolved.settings.gateway
        topics = wire.Topics.of(gateway.root, gateway.sector, gateway.site, gateway.id)
        now, open_command = self._clock.now, self._handlers.open_command
        context = CommandContext(self._store, self.status, self._plan, self._renewal, self, self.sensors)
        commands = CommandDispatcher(context, config.commands, topics, now, open_command, self.wake)
        identity = GatewayIdentity(topics, described, __version__, self._boot_id, now)
        self._router = MessageRouter(commands, topics, self._handlers.on_config)
        connect = partial(self._connections.connect, config)
        self.uplink = uplink = Uplink(
            config, self._store, connect, identity, self._state.next_generation, self._mono_ms, self._router
        )
        self._renewal.use(config.broker, gateway.id)
        self._publish_report()
        self._link = asyncio.create_task(uplink.run(), name="uplink")
        self._tasks = [
            self._link,
            asyncio.create_task(self._health(), name="agent health"),
            asyncio.create_task(commands.run(), name="commands"),
            asyncio.create_task(self._renewal.watch(), name="certificate"),
        ]

    def wake(self) -> None:
        """Let the uplink check whether there is something to send."""
        if self.uplink is not None:
            self.uplink.wake()

    def send_again(self, stream: str, start: int, stop: int) -> None:
        """Send rows again (:meth:`~agent.delivery.uplink.Uplink.send_again`)."""
        if self.uplink is not None:
            self.uplink.send_again(stream, start, stop)

    def _reconnect(self) -> None:
        if self.uplink is not None:
            self.uplink.reconnect()

    async def _plan(self, raw: bytes) -> object:
        """Return what a configuration would change, without applying it. Raises ``RejectedError``."""
        if self._running is None:
            raise LookupError("no configuration is running yet")
        return await self._handlers.plan(raw, self._running)

    def _mono_ms(self) -> int:
        return self._clock.now().mono_ms

    async def _stop_uplink(self, goodbye_s: float) -> None:
        ending, self._tasks = self._tasks, []  # the supervisor must not treat their end as an error
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
        """Return the key of the pseudonyms: the configured key, or one created at the first start."""
        if config.privacy.key_file:
            return local_file(config.privacy.key_file).read_bytes().strip()
        return self._state.secret(PRIVACY_KEY, KEY_BYTES)
