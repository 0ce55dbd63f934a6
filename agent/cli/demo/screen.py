"""The output of the demo: a live display on a terminal, plain lines elsewhere."""

import re
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from agent.base.i18n import _
from agent.cli.demo.city import Place
from agent.cli.demo.readable import readable_row
from agent.fleet.gap_ledger import Gap
from agent.fleet.subscriber import Arrival, Subscriber

if TYPE_CHECKING:
    from rich.console import Group

_LOG_LINES = 7
_CLOCK = re.compile(r"(\d\d:\d\d:\d\d) ")


class Screen(Protocol):
    """Shows what happens in the demo."""

    def __enter__(self) -> "Screen": ...
    def __exit__(self, *error: object) -> None: ...
    def arrived(self, item: Arrival | Gap, subscriber: Subscriber) -> None: ...
    def log(self, who: str, line: str) -> None: ...
    def tick(self, phase: str, left_s: float) -> None: ...


class PlainScreen:
    """Prints one line per reading, and the agents' log lines."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = {place.gateway: place for place in places}

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def arrived(self, item: Arrival | Gap, subscriber: Subscriber) -> None:
        gateway = item.stream_id.gateway
        if isinstance(item, Gap):
            self.log(gateway, _gap_line(item))
            return
        mark = "!" if item.kind == "event" else "<" if item.late else " "
        when = time.strftime("%H:%M:%S", time.localtime(item.fields["t"] / 1000))
        words = readable_row(item, subscriber, self._places[gateway].shown(item.sensor))
        print(f"{when} {mark} {gateway:<10} {item.sensor:<9} {words}", flush=True)

    def log(self, who: str, line: str) -> None:
        print(_timed(f"  {who:<10} {'':<9} ", line), flush=True)

    def tick(self, phase: str, left_s: float) -> None:
        pass


class LiveScreen:
    """A display of the city that is updated in place."""

    def __init__(self, places: Sequence[Place]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._places = places
        self._by_gateway = {place.gateway: place for place in places}
        self._latest: dict[tuple[str, str], tuple[float, str]] = {}
        self._counts: dict[str, int] = {}
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._phase = ""
        self._left_s = 0.0
        self._live = Live(console=Console(), auto_refresh=False, transient=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def arrived(self, item: Arrival | Gap, subscriber: Subscriber) -> None:
        gateway = item.stream_id.gateway
        if isinstance(item, Gap):
            self.log(gateway, _gap_line(item))
            return
        self._counts[gateway] = self._counts.get(gateway, 0) + 1
        words = readable_row(item, subscriber, self._by_gateway[gateway].shown(item.sensor))
        if item.kind == "event":
            self.log(gateway, f"{item.sensor} {words}")
        elif not item.late:
            self._latest[gateway, item.sensor] = (time.monotonic(), words)

    def log(self, who: str, line: str) -> None:
        self._lines.append(_timed(f" {who}: ", line))

    def tick(self, phase: str, left_s: float) -> None:
        self._phase, self._left_s = phase, left_s
        self._live.update(self._display(), refresh=True)

    def _display(self) -> "Group":
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table as Grid
        from rich.text import Text

        panels: list[Panel] = []
        for place in self._places:
            grid = Grid.grid(padding=(0, 2))
            sensors = [(device.sensor, device.driver) for device in place.devices]
            for sensor, driver in (*sensors, ("system", "system")):
                when_s, words = self._latest.get((place.gateway, sensor), (0.0, ""))
                age = f"{time.monotonic() - when_s:.0f} s" if when_s else "-"
                grid.add_row(Text(sensor, style="bold"), driver, Text(age, style="dim"), words)
            count = _("readings received: {n}").format(n=self._counts.get(place.gateway, 0))
            title = f"{place.title} ({place.gateway})"
            panels.append(Panel(grid, title=title, subtitle=count, title_align="left", subtitle_align="right"))
        footer = Text(f"{self._phase}  {self._left_s:.0f} s", style="bold")
        return Group(*panels, Panel(Text("\n".join(self._lines)), title="log", title_align="left"), footer)


def _gap_line(gap: Gap) -> str:
    return _("gap: {start} to {last} of {stream}").format(
        start=gap.start, last=gap.stop - 1, stream=gap.stream_id.stream
    )


def _timed(who: str, line: str) -> str:
    """Return a log line that starts with its time. Lines of the agents contain their own."""
    found = _CLOCK.match(line)
    when = found[1] if found else time.strftime("%H:%M:%S")
    return f"{when}{who}{line[found.end() :] if found else line}"
