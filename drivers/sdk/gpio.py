"""Drivers of devices on GPIO lines: edges with the kernel's times in, measurements out. Pure.

The agent asks the kernel for the lines, hands on every edge, and keeps the totals; a driver says what the
edges mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from drivers.sdk.contract import Decoder, Driver, Item, Options


class Edge(NamedTuple):
    """A change of a line. ``at_s``: seconds of the kernel's monotonic clock. ``line``: its role in the driver
    (``line``; ``a``, ``b``; ``d0``, ``d1``). ``level``: 0 or 1 as on the wire, after the kernel has turned it
    round where the sensor is ``active_low``."""

    at_s: float
    line: str
    level: int


class EdgeDecoder(Protocol):
    """Turns edges into items. Bounded; never raises on any edges.

    All times are those of the edges. The agent calls :meth:`start` once the lines are its own, then
    :meth:`edges` as they come (the times never fall), :meth:`tick` when :attr:`due_s` has come, and
    :meth:`sample` every ``interval_s`` (``period_s`` where the configuration has none; never where both are 0).
    """

    @property
    def due_s(self) -> float | None:
        """When :meth:`tick` must be called though no edge comes (the end of a card's number); None: need not."""

    def start(self, levels: Mapping[str, int], at_s: float) -> list[Item]:
        """The lines stand so: after they were requested, and after edges were lost. What was unfinished is
        dropped; totals stay."""

    def edges(self, edges: Sequence[Edge]) -> list[Item]:
        """Take edges in any portions; give the items completed by them, in order."""

    def tick(self, at_s: float) -> list[Item]:
        """Time has passed: what ends by silence ends."""

    def sample(self, at_s: float) -> list[Item]:
        """What stands now, as telemetry: a state, a count. Nothing from a driver that knows only events."""

    def lost(self, line: str, count: int) -> list[Item]:
        """``count`` edges of a line were lost by the kernel's buffer: drop what they make doubtful, and say so.

        The agent then reads the levels and calls :meth:`start` again.
        """

    def totals(self) -> Mapping[str, int]:
        """What must survive a restart, by name; empty for most drivers."""

    def restore(self, totals: Mapping[str, int]) -> None:
        """Go on from these totals; called before :meth:`start`. Unknown names are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioDriver(Driver):
    """A device on one or more GPIO lines of one chip.

    ``lines``: the roles of its lines. One role ``line`` is the sensor's key ``line``; each of several is the
    option ``line_ROLE`` (``line_a``). ``edge``: which edges the kernel is asked for. ``output``: the line is
    driven, not read (``gpio_out``): only ``start`` and ``sample`` are called, with the level that was set.
    ``debounce_ms``: where the configuration has none. The option ``bias``, where there is one, is
    ``as_is``, ``pull_up``, ``pull_down`` or ``off``.

    ``decoder`` reads recorded edges, JSON ``[[seconds, line, level], ...]``, and is made from ``edges``.
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
