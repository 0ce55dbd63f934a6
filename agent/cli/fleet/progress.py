"""How far a push is: one line that is written over on a terminal, a line for each gateway elsewhere."""

from collections.abc import Collection, Mapping
from typing import TextIO

from agent.base.i18n import _
from agent.fleet.rollout import RolloutMessage

_WIDTH = 30


class Progress:
    """What is shown of one ring after the other."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._drawn = out.isatty()
        self._number = 0
        self._total = 0
        self._orders: Mapping[str, RolloutMessage] = {}
        self._done: set[str] = set()

    def begin(self, number: int, rings: int, ring: Collection[str], orders: Mapping[str, RolloutMessage]) -> None:
        """A ring begins."""
        versions = sorted({orders[name].version for name in ring})
        span = f"{versions[0]}" if len(versions) == 1 else f"{versions[0]}-{versions[-1]}"
        self._number, self._total, self._orders, self._done = number, len(ring), orders, set()
        self._line(
            _("ring {number} of {rings}: {count} gateways, version {version}").format(
                number=number, rings=rings, count=len(ring), version=span
            )
        )

    def confirmed(self, name: str) -> None:
        """A gateway has confirmed; may be told again."""
        if name in self._done:
            return
        self._done.add(name)
        before = self._orders[name].done
        word = _("was already confirmed") if before else _("confirmed")
        if self._drawn:
            full = _WIDTH * len(self._done) // self._total
            bar = "#" * full + "." * (_WIDTH - full)
            self._out.write(f"\r[{bar}] {len(self._done)}/{self._total} {name:32.32}")
            self._out.flush()
        else:
            self._line(f"{name}: {word} ({len(self._done)}/{self._total})")

    def note(self, text: str) -> None:
        """Something beside it."""
        self.end()
        self._line(text)

    def end(self) -> None:
        """Leave the line that was written over."""
        if self._drawn and self._done:
            self._line("")

    def _line(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()
