"""Sensors on GPIO lines: edges with the kernel's times, totals that survive a restart."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from agent.core import events
from agent.core.failure import PortLost
from agent.core.reading import Stamp
from agent.services import sensor
from agent.services.sensor import SensorTask
from drivers.sdk.gpio import Edge, EdgeDecoder, GpioDriver

_LONGEST_S = 3600.0


class LineRequest(NamedTuple):
    """How one line is asked for."""

    line: str | int
    edge: str
    bias: str
    active_low: bool
    debounce_ms: float


class LineEdge(Protocol):
    """A change of a line, and how many before it were lost."""

    @property
    def at_s(self) -> float: ...
    @property
    def role(self) -> str: ...
    @property
    def level(self) -> int: ...
    @property
    def lost(self) -> int: ...


class Lines(Protocol):
    """Requested lines."""

    def levels(self) -> Mapping[str, int]: ...
    def now_s(self) -> float: ...
    def drive(self, level: int) -> None: ...
    async def edges(self, timeout_s: float) -> Sequence[LineEdge]: ...
    def close(self) -> None: ...


class Edges(sensor.Edges, Protocol):
    """How sensors get at their lines. Raises :class:`~agent.core.failure.PortLost`."""

    def open_lines(self, chip: str, lines: Mapping[str, LineRequest], output: int | None) -> Lines: ...


class GpioSensor(SensorTask):
    """A device on one or more lines of a chip."""

    _driver: GpioDriver
    _edges: Edges
    _output: tuple[Lines, EdgeDecoder] | None = None
    """What is driven now."""

    def switch(self, on: bool) -> None:
        """Set the line, and tell at once how it stands. It is off again when the agent stops or the chip was away.
        Raises :class:`LookupError`."""
        if not self._driver.output:
            super().switch(on)
        if self._output is None:
            raise LookupError(f"{self._settings.id} is not there now")
        lines, decoder = self._output
        try:
            lines.drive(int(on))
            levels = lines.levels()
        except PortLost as error:
            raise LookupError(str(error)) from error
        self._urgent = True
        self._take(decoder.start(levels, lines.now_s()), self._edges.now())

    def _poll_s(self) -> float:
        return self._settings.interval_s if self._settings.interval_s is not None else self._driver.period_s

    async def _use(self) -> None:
        lines = self._edges.open_lines(self._settings.chip, self._requests(), 0 if self._driver.output else None)
        try:
            decoder = self._driver.edges(self._settings.options)
            decoder.restore(self._totals())
            # A device that speaks only when something happens is well by having its lines.
            self._is_well(self._now_s())
            first = decoder.start(lines.levels(), lines.now_s())
            self._output = (lines, decoder) if self._driver.output else None
            self._take(first, self._edges.now())
            await self._follow(lines, decoder, lines.now_s() + (self._poll_s() if first else 0.0))
        finally:
            if self._output is not None:
                self._output = None
                with contextlib.suppress(PortLost):
                    lines.drive(0)
            lines.close()

    async def _follow(self, lines: Lines, decoder: EdgeDecoder, sample_s: float) -> None:
        """Take edges, and say what stands from ``sample_s`` (the lines' clock) on, until the lines are lost."""
        kept = dict(decoder.totals())
        while True:
            if self._poll_s() and lines.now_s() >= sample_s:
                sample_s = max(sample_s + self._poll_s(), lines.now_s())
                self._take(decoder.sample(lines.now_s()), self._edges.now())
            due_s = [one for one in (decoder.due_s, sample_s if self._poll_s() else None) if one is not None]
            wait_s = max(0.0, min(due_s, default=lines.now_s() + _LONGEST_S) - lines.now_s())
            await self._hold_back()
            edges = await lines.edges(min(wait_s, _LONGEST_S))
            if any(edge.lost for edge in edges):
                self._after_loss(edges, decoder, lines)
            for edge in edges:
                self._take(decoder.edges([Edge(edge.at_s, edge.role, edge.level)]), self._at(edge.at_s, lines))
            if decoder.due_s is not None and lines.now_s() >= decoder.due_s:
                self._take(decoder.tick(lines.now_s()), self._edges.now())
            self._is_well(self._now_s())
            if dict(decoder.totals()) != kept:
                kept = dict(decoder.totals())
                self._store.remember(self._key(), json.dumps(kept))

    def _after_loss(self, edges: Sequence[LineEdge], decoder: EdgeDecoder, lines: Lines) -> None:
        """The kernel drops its oldest edges: tell how many, and begin anew with the levels before what is left."""
        levels = dict(lines.levels())
        for edge in reversed(edges):
            levels[edge.role] = 1 - edge.level
        stamp = self._at(edges[0].at_s, lines)
        stream = self._stream if self._poll_s() else self._events
        for edge in edges:
            if edge.lost:
                self._store.announce(events.rows_lost_unnumbered(stream, self._store.ep, edge.lost, "edges"))
                self._take(decoder.lost(edge.role, edge.lost), stamp)
        self._take(decoder.start(levels, edges[0].at_s), stamp)

    def _at(self, at_s: float, lines: Lines) -> Stamp:
        """The stamp of a moment of the lines' clock."""
        now = self._edges.now()
        ago_ms = round(1000 * max(0.0, lines.now_s() - at_s))
        return Stamp(now.t - ago_ms, now.mono_ms - ago_ms, now.cq)

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
        """The totals as they were remembered; none where what is there cannot be read."""
        try:
            totals = json.loads(self._store.recall(self._key()) or "{}")
        except ValueError:
            return {}
        return {name: value for name, value in totals.items() if isinstance(value, int)}
