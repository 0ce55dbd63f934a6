"""Drivers of devices on GPIO lines: edges with the kernel's times in, measurements out. Pure.

The agent requests the lines from the kernel, feeds every edge to the driver, and keeps the totals; a driver knows what
the edges mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from drivers.sdk.contract import Decoder, Driver, Item, Options


class Edge(NamedTuple):
    """A change of a line. ``at_s``: seconds of the kernel's monotonic clock. ``line``: its role in the driver
    (``line``; ``a``, ``b``; ``d0``, ``d1``). ``level``: 0 or 1 as on the wire, inverted by the kernel
    if the sensor is ``active_low``."""

    at_s: float
    line: str
    level: int


class EdgeDecoder(Protocol):
    """Turns edges into items. Bounded; never raises on any edges.

    All times are those of the edges. The agent calls :meth:`start` when it has requested the lines, :meth:`edges` when
    there are edges (the times never decrease), :meth:`tick` at the time :attr:`due_s`, and :meth:`sample` every
    ``interval_s`` (``period_s`` if the configuration has none; never if both are 0).
    """

    @property
    def due_s(self) -> float | None:
        """When :meth:`tick` must be called without an edge (at the end of a card's number); None: not at all."""

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        """Begin with these levels, after the lines were requested or edges were lost. Totals stay; what was unfinished
        is dropped."""

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        """Return the items that these edges complete, in order. Edges may come in portions of any size."""

    def tick(self, at_s: float) -> list[Item]:
        """Return what ends by silence."""

    def sample(self, at_s: float) -> list[Item]:
        """Return the present state or count as telemetry; nothing from a driver that has only events."""

    def lost(self, line: str, count: int) -> list[Item]:
        """Return rejections for what is doubtful after the kernel's buffer lost ``count`` edges of a line.

        The agent then reads the levels and calls :meth:`start` again.
        """

    def totals(self) -> Mapping[str, int]:
        """Return what must survive a restart, by name; empty for most drivers."""

    def restore(self, totals: Mapping[str, int]) -> None:
        """Continue from these totals. Called before :meth:`start`. Unknown names are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioDriver(Driver):
    """A device on GPIO lines of a chip.

    ``lines``: the roles of its lines. A single role ``line`` is the sensor's key ``line``; of several roles, each is an
    option ``line_ROLE`` (``line_a``). ``edge``: which edges the kernel reports. ``output``: the line is driven, not
    read (``gpio_out``): only ``start`` and ``sample`` are called, with the level that was set. ``debounce_ms``: if the
    configuration has none. An option ``bias`` is ``as_is``, ``pull_up``, ``pull_down`` or ``off``.

    ``decoder`` parses recorded edges, JSON ``[[seconds, line, level], ...]``; it is made from ``edges``.
    """

    edges: Callable[[Options], EdgeDecoder]
    lines: tuple[str, ...] = ("line",)
    edge: Literal["both", "rising", "falling"] = "both"
    output: bool = False
    debounce_ms: float = 0.0
    decoder: Callable[[Options], Decoder] = field(init=False)

    def __post_init__(self) -> None:
        from drivers.sdk.edges import EdgeText

        edges, lines = self.edges, self.lines
        object.__setattr__(self, "decoder", lambda options: EdgeText(edges(options), lines))
