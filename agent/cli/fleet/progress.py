"""The progress of a push: a bar on a terminal, one line per gateway elsewhere."""

from collections.abc import Collection, Mapping
from typing import TextIO

from agent.base.i18n import _
from agent.fleet.rollout import RolloutMessage

_WIDTH = 30


class Progress:
    """Shows the progress of each ring."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._interactive = out.isatty()
        self._number = 0
        self._total = 0
        self._messages: Mapping[str, RolloutMessage] = {}
        self._done: set[str] = set()

    def begin(self, number: int, rings: int, ring: Collection[str], messages: Mapping[str, RolloutMessage]) -> None:
        """Show that a ring starts."""
        versions = sorted({messages[name].version for name in ring})
        span = f"{versions[0]}" if len(versions) == 1 else f"{versions[0]}-{versions[-1]}"
        self._number, self._total, self._messages, self._done = number, len(ring), messages, set()
        self._line(
            _("ring {number} of {rings}: version {version}, gateways: {count}").format(
                number=number, rings=rings, count=len(ring), version=span
            )
        )

    def confirmed(self, name: str) -> None:
        """Show that a gateway has confirmed. Repeated calls have no effect."""
        if name in self._done:
            return
        self._done.add(name)
        before = self._messages[name].done
        word = _("was already confirmed") if before else _("confirmed")
        if self._interactive:
            full = _WIDTH * len(self._done) // self._total
            bar = "#" * full + "." * (_WIDTH - full)
            self._out.write(f"\r[{bar}] {len(self._done)}/{self._total} {name:32.32}")
            self._out.flush()
        else:
            self._line(f"{name}: {word} ({len(self._done)}/{self._total})")

    def note(self, text: str) -> None:
        """Show a line of text."""
        self.end()
        self._line(text)

    def end(self) -> None:
        """Finish the bar, so that the next line starts below it."""
        if self._interactive and self._done:
            self._line("")

    def _line(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()
