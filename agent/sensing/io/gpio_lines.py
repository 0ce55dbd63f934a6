"""GPIO lines through the kernel's character device: the only importer of gpiod (version 2).

Edges carry the kernel's monotonic time and a sequence number for each line, so that edges lost in its buffer are
counted.
"""

import asyncio
import errno
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from agent.base.i18n import _
from agent.sensing.sensor_errors import PortLost

_BUFFER_EVENTS = 1024
"""For all lines of a request. The kernel's default is 16 a line; a card number is 34 edges on two lines."""
_CHIP_CHECK_S = 2.0
"""Kernels before 6.6 do not report a removed chip: check this often whether it still exists."""
DEVICES = Path("/dev")


class GpioLineSettings(NamedTuple):
    """How to request one line. ``line``: name or offset. ``edge``: both, rising or falling. ``bias``: as_is, pull_up,
    pull_down or off."""

    line: str | int
    edge: str = "both"
    bias: str = "as_is"
    active_low: bool = False
    debounce_ms: float = 0.0


class LineEdge(NamedTuple):
    """A change of the line ``role``. ``at_s``: the kernel's monotonic clock. ``lost``: number of edges of this line
    lost before this one."""

    at_s: float
    role: str
    level: int
    lost: int


class GpioLink:
    """Requested lines, created by :meth:`open`."""

    def __init__(self, chip: str, request: Any, roles: Mapping[int, str]) -> None:
        self._chip = chip
        self._request = request
        self._roles = roles
        self._numbers: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()

    @classmethod
    def open(
        cls, chip: str, lines: Mapping[str, GpioLineSettings], output: int | None = None, devices: Path = DEVICES
    ) -> "GpioLink":
        """Request lines (role -> settings) of a chip, by its name or label; with ``output``, drive them at that level.

        Raises :class:`~agent.sensing.sensor_errors.PortLost`, with a text that says what to fix.
        """
        try:
            import gpiod
        except ImportError:
            raise PortLost(_("GPIO needs the extra gpio: pip install 'gardu[gpio]'")) from None
        with _open_chip(gpiod, chip, devices) as gpio_chip:
            try:
                roles = _offsets(gpio_chip, chip, lines)
                settings = {offset: _settings(gpiod, lines[role], output) for offset, role in roles.items()}
                request = gpio_chip.request_lines(settings, consumer="gardu", event_buffer_size=_BUFFER_EVENTS)
            except OSError as error:
                raise _request_error(error, chip, ", ".join(str(request.line) for request in lines.values())) from error
        return cls(chip, request, roles)

    def levels(self) -> dict[str, int]:
        """Return the current levels of the lines (1 is active). Raises :class:`PortLost`."""
        try:
            return {role: int(self._request.get_value(offset).value) for offset, role in self._roles.items()}
        except OSError as error:
            raise self._lost(error) from error

    def drive(self, level: int) -> None:
        """Set lines requested as outputs; 1 is active. Raises :class:`PortLost`."""
        from gpiod.line import Value

        try:
            self._request.set_values(dict.fromkeys(self._roles, Value(level)))
        except OSError as error:
            raise self._lost(error) from error

    def now_s(self) -> float:
        """Return the time of the clock that stamps the edges."""
        return time.monotonic()

    async def edges(self, timeout_s: float) -> list[LineEdge]:
        """Return all pending edges, waiting for the first; none after ``timeout_s``. Raises :class:`PortLost`."""
        end_s = self._loop.time() + timeout_s
        while True:
            remaining_s = end_s - self._loop.time()
            await self._readable(min(remaining_s, _CHIP_CHECK_S))
            try:
                if self._request.wait_edge_events(timedelta(0)):
                    return self._to_edges(self._request.read_edge_events())
            except OSError as error:
                raise self._lost(error) from error
            self.levels()
            if remaining_s <= _CHIP_CHECK_S:
                return []

    def close(self) -> None:
        """Release the lines; safe to call twice."""
        self._request.release()

    def _to_edges(self, events: Sequence[Any]) -> list[LineEdge]:
        edges: list[LineEdge] = []
        for event in events:
            before = self._numbers.get(event.line_offset, 0)
            self._numbers[event.line_offset] = event.line_seqno
            level = 1 if event.event_type is event.Type.RISING_EDGE else 0
            lost = max(0, event.line_seqno - before - 1)
            edges.append(LineEdge(event.timestamp_ns / 1e9, self._roles[event.line_offset], level, lost))
        return edges

    async def _readable(self, timeout_s: float) -> None:
        """Wait until the lines are readable or closed, at most ``timeout_s``."""
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._request.fd, _wake, ready)
        timer = self._loop.call_later(timeout_s, _wake, ready)
        try:
            await ready
        finally:
            timer.cancel()
            self._loop.remove_reader(self._request.fd)

    def _lost(self, error: OSError) -> PortLost:
        return PortLost(_("chip {chip} disappeared: {why}").format(chip=self._chip, why=error.strerror))


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _open_chip(gpiod: Any, name: str, devices: Path) -> Any:
    """Open a chip by path, by name (``gpiochip0``), or by label, which is the same on all boards."""
    problem: PortLost | None = None
    paths = [Path(name)] if "/" in name else sorted(devices.glob("gpiochip*"), key=lambda path: path.name != name)
    for path in paths:
        try:
            chip = gpiod.Chip(str(path))
        except PermissionError:
            problem = PortLost(_("no permission to open chip {chip}: add the user to the group gpio").format(chip=name))
        except OSError:
            continue
        else:
            if "/" in name or name in (path.name, chip.get_info().label):
                return chip
            chip.close()
    raise problem or PortLost(_("GPIO chip {chip} does not exist").format(chip=name))


def _offsets(chip: Any, name: str, lines: Mapping[str, GpioLineSettings]) -> dict[int, str]:
    """Return the roles of the lines by their offsets in the chip."""
    roles: dict[int, str] = {}
    for role, request in lines.items():
        offset = _offset(chip, request.line)
        if not 0 <= offset < chip.get_info().num_lines:
            raise PortLost(_("chip {chip} has no line {line}").format(chip=name, line=request.line))
        if roles.setdefault(offset, role) != role:
            raise PortLost(_("line {line} of {chip} is used twice").format(line=request.line, chip=name))
    return roles


def _offset(chip: Any, line: str | int) -> int:
    """Return the offset of a line given by name or number; -1 if it does not exist. Lines without a name are found by
    their numbers only."""
    try:
        return int(chip.line_offset_from_id(line)) if line != "" else -1
    except (FileNotFoundError, ValueError):
        return -1


def _request_error(error: OSError, chip: str, lines: str) -> PortLost:
    """Return what to fix if the kernel refuses the lines."""
    if error.errno == errno.EBUSY:
        return PortLost(_("line {lines} of {chip} is in use by another program").format(lines=lines, chip=chip))
    return PortLost(_("cannot use line {lines} of {chip}: {why}").format(lines=lines, chip=chip, why=error.strerror))


def _settings(gpiod: Any, request: GpioLineSettings, output: int | None) -> Any:
    line = gpiod.line
    if output is not None:
        return gpiod.LineSettings(
            direction=line.Direction.OUTPUT, active_low=request.active_low, output_value=line.Value(output)
        )
    edges = {"both": line.Edge.BOTH, "rising": line.Edge.RISING, "falling": line.Edge.FALLING}
    biases = {"pull_up": line.Bias.PULL_UP, "pull_down": line.Bias.PULL_DOWN, "off": line.Bias.DISABLED}
    return gpiod.LineSettings(
        direction=line.Direction.INPUT,
        edge_detection=edges[request.edge],
        bias=biases.get(request.bias, line.Bias.AS_IS),
        active_low=request.active_low,
        debounce_period=timedelta(milliseconds=request.debounce_ms),
        event_clock=line.Clock.MONOTONIC,
    )
