"""Devices on GPIO lines: edges with the kernel's times, and totals that survive a restart."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from agent.base.reading import Stamp
from agent.config.settings import Sensor
from agent.sensing.sensor_errors import PortLost, SensorFailure
from agent.sensing.sources.edge_session import EdgeProgress, EdgeSession, LineEdge, levels_before
from agent.sensing.sources.source import Feed
from drivers.sdk.gpio import GpioDriver

_MAX_WAIT_S = 3600.0


class LineRequest(NamedTuple):
    """How to request one line."""

    line: str | int
    edge: str
    bias: str
    active_low: bool
    debounce_ms: float


class Lines(Protocol):
    """Requested lines."""

    def levels(self) -> Mapping[str, int]: ...
    def now_s(self) -> float: ...
    def drive(self, level: int) -> None: ...
    async def edges(self, timeout_s: float) -> Sequence[LineEdge]: ...
    def close(self) -> None: ...


class LinePorts(Protocol):
    """Gives sensors access to their lines. Raises :class:`~agent.sensing.sensor_errors.PortLost`."""

    def open_lines(self, chip: str, lines: Mapping[str, LineRequest], output: int | None) -> Lines: ...


class Memory(Protocol):
    """Stores totals across a restart."""

    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class GpioSource:
    """A device on one or more lines of a chip. ``memory``: stores its totals."""

    downsample_s = 0.0

    def __init__(self, settings: Sensor, driver: GpioDriver, ports: LinePorts, memory: Memory) -> None:
        self._settings = settings
        self._driver = driver
        self._ports = ports
        self._memory = memory
        self._output: tuple[Lines, EdgeSession] | None = None
        self.place = f"{settings.chip} {settings.line}".strip()
        self.poll_s = driver.period_s if settings.interval_s is None else settings.interval_s

    async def run(self, feed: Feed) -> None:
        """Request the lines and follow their edges until the lines are lost."""
        driver, options = self._driver, self._settings.options
        lines = self._ports.open_lines(self._settings.chip, self._requests(), 0 if driver.output else None)
        try:
            totals = self._totals()
            session = await feed.decode(lambda: EdgeSession(driver.edges(options), totals))
            # A device that reports only changes works as soon as its lines are open.
            feed.mark_working()
            first = await feed.decode(partial(session.start, lines.levels(), lines.now_s()))
            self._output = (lines, session) if driver.output else None
            self._handle(first, lines, feed)
            await self._follow(lines, session, first, feed)
        finally:
            if self._output is not None:
                self._output = None
                with contextlib.suppress(PortLost):
                    lines.drive(0)
            lines.close()

    async def switch(self, on: bool, feed: Feed) -> None:
        """Set the line, and publish its new level at once. It is switched off when the agent stops or the chip is lost.
        Raises :class:`LookupError`."""
        if not self._driver.output:
            raise LookupError(f"{self._settings.id} is not an output")
        if self._output is None:
            raise LookupError(f"{self._settings.id} is not available now")
        lines, session = self._output
        try:
            lines.drive(int(on))
            progress = await feed.decode(partial(session.start, lines.levels(), lines.now_s()))
        except SensorFailure as error:
            raise LookupError(str(error)) from error
        self._handle(progress, lines, feed, urgent=True)

    async def _follow(self, lines: Lines, session: EdgeSession, progress: EdgeProgress, feed: Feed) -> None:
        """Process edges as they arrive, and publish the state every ``poll_s`` (the lines' clock)."""
        saved = progress.totals
        sample_s = lines.now_s() + (self.poll_s if progress.items else 0.0) if self.poll_s else None
        while True:
            due_s = min((due for due in (progress.due_s, sample_s) if due is not None), default=float("inf"))
            await feed.wait_for_room()
            edges = await lines.edges(min(max(0.0, due_s - lines.now_s()), _MAX_WAIT_S))
            levels = None
            if lost := sum(edge.lost for edge in edges):
                levels = levels_before(edges, lines.levels())
                feed.report_lost_edges(lost)
            now_s = lines.now_s()
            sampled = sample_s is not None and now_s >= sample_s
            if sample_s is not None and sampled:
                sample_s = max(sample_s + self.poll_s, now_s)
            progress = await feed.decode(partial(session.advance, edges, levels, now_s, sampled))
            self._handle(progress, lines, feed)
            feed.mark_working()
            if progress.totals != saved:
                saved = progress.totals
                self._memory.remember(self._key(), json.dumps(saved))

    def _handle(self, progress: EdgeProgress, lines: Lines, feed: Feed, *, urgent: bool = False) -> None:
        for at_s, items in progress.items:
            feed.handle(items, _stamp(at_s, lines, feed), urgent=urgent)

    def _requests(self) -> dict[str, LineRequest]:
        settings, driver = self._settings, self._driver
        debounce_ms = driver.debounce_ms if settings.debounce_ms is None else settings.debounce_ms
        bias = str(settings.options.get("bias") or "as_is")
        return {
            role: LineRequest(self._line_of(role), driver.edge, bias, settings.active_low, debounce_ms)
            for role in driver.lines
        }

    def _line_of(self, role: str) -> str | int:
        if role == "line":
            return self._settings.line
        line = self._settings.options[f"line_{role}"]
        return line if isinstance(line, int) else str(line)

    def _key(self) -> str:
        return f"totals.{self._settings.id}"

    def _totals(self) -> dict[str, int]:
        """Return the stored totals; none if they cannot be read."""
        try:
            totals = json.loads(self._memory.recall(self._key()) or "{}")
        except ValueError:
            return {}
        return {name: value for name, value in totals.items() if isinstance(value, int)}


def _stamp(at_s: float, lines: Lines, feed: Feed) -> Stamp:
    """Return the stamp of a time of the lines' clock."""
    now = feed.stamp()
    ago_ms = round(1000 * max(0.0, lines.now_s() - at_s))
    return Stamp(now.t - ago_ms, now.mono_ms - ago_ms, now.clock_quality)
