"""What is wrong with a configuration, said so that the person who wrote it can put it right."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.base.i18n import _

MOST = 100
"""Problems reported of one file; the rest is only counted (a hostile file could hold a hundred thousand)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. ``code`` and ``path`` are stable and for programs, ``message`` and ``hint`` for people."""

    level: Literal["error", "warning"]
    code: str
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """``path: message (hint)``, on one line."""
        text = self.message if self.level == "error" else _("warning: {text}").format(text=self.message)
        text = f"{self.path}: {text}" if self.path else text
        return f"{text} ({self.hint})" if self.hint else text


class Report:
    """Collects the problems of one file, in the order in which they are found."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._wrong: set[str] = set()
        self._more = 0
        self.failed = False

    def error(self, path: str, code: str, message: str, hint: str = "") -> None:
        """The configuration cannot be used because of this."""
        self.failed = True
        self._wrong.add(path)
        self._add(Problem("error", code, path, message, hint))

    def warn(self, path: str, code: str, message: str, hint: str = "") -> None:
        """The configuration can be used, but not all of it does what its author may think."""
        self._add(Problem("warning", code, path, message, hint))

    def wrong(self, path: str) -> bool:
        """Whether an error stands at this path already: what follows from it is not worth a second one."""
        return path in self._wrong

    def near(self, word: str, words: Iterable[str], otherwise: str = "") -> str:
        """A hint that names the known words most like ``word``, or else ``otherwise``."""
        if len(self._problems) >= MOST:
            return otherwise
        from difflib import get_close_matches  # only a mistake needs it

        close = get_close_matches(word[:64], list(words), n=2, cutoff=0.7)
        if not close:
            return otherwise
        return _("did you mean {names}?").format(names=_(" or ").join(close))

    def problems(self) -> tuple[Problem, ...]:
        """Everything found; more than :data:`MOST` are summed up in a last line."""
        if not self._more:
            return tuple(self._problems)
        level: Literal["error", "warning"] = "error" if self.failed else "warning"
        more = Problem(level, "more", "", _("and {count} more problems").format(count=self._more))
        return (*self._problems, more)

    def _add(self, problem: Problem) -> None:
        if len(self._problems) < MOST:
            self._problems.append(problem)
        else:
            self._more += 1
