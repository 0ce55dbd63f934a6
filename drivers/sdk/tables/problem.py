"""What is wrong with a table, in a form that helps its author to correct it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from drivers.sdk.messages import _

MAX_PROBLEMS = 100
"""How many problems of one file are reported; the rest is only counted (a hostile file could hold 100,000)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding. ``code`` and ``path`` are stable and for programs; ``message`` and ``hint`` are for people.

    ``line``: of the file, from 1; 0 where it is unknown or there is no file.
    """

    level: Literal["error", "warning"]
    code: str
    path: str
    message: str
    hint: str = ""
    line: int = 0

    def __str__(self) -> str:
        """``path: message (hint)``, on one line."""
        text = self.message if self.level == "error" else _("warning: {text}").format(text=self.message)
        text = f"{self.path}: {text}" if self.path else text
        return f"{text} ({self.hint})" if self.hint else text

    def located(self, file: object) -> str:
        """``file:line: path: message (hint)``, on one line."""
        return f"{file}:{self.line}: {self}" if self.line else f"{file}: {self}"


class Report:
    """Collects the problems of one file, in the order in which they are found."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._wrong: set[str] = set()
        self._unsound: set[str] = set()
        self._meant: set[str] = set()
        self._more = 0
        self.failed = False

    def error(self, path: str, code: str, message: str, hint: str = "", line: int = 0) -> None:
        """Report why the file cannot be used."""
        self.failed = True
        self._wrong.add(path)
        self._unsound.update(_with_parents(path))
        self._add(Problem("error", code, path, message, hint, line))

    def warn(self, path: str, code: str, message: str, hint: str = "") -> None:
        """Report that the file can be used, but not everything in it does what its author may think."""
        self._add(Problem("warning", code, path, message, hint))

    def wrong(self, path: str) -> bool:
        """Return whether there is an error at this path: what follows from it is not worth another one."""
        return path in self._wrong

    def sound(self, *paths: str) -> bool:
        """Return whether there is no error at these paths, nor inside of them, nor at a table around them."""
        around = {parent for path in paths for parent in _with_parents(path)}
        return self._unsound.isdisjoint(paths) and self._wrong.isdisjoint(around)

    def unknown_key(self, path: str, key: str, known: Iterable[str]) -> None:
        """Report a key that has no meaning in the table at ``path``, with the known keys that resemble it."""
        known = list(known)
        close = self.close(key, known)
        self._meant.update(join(path, name) for name in close)
        hint = _("known keys: {keys}").format(keys=", ".join(sorted(known)))
        if close:
            hint = _("did you mean {names}?").format(names=_(" or ").join(close))
        self.error(join(path, key[:64]), "unknown_key", _("unknown key"), hint)

    def is_meant(self, path: str) -> bool:
        """Return whether an unknown key was reported that resembles the one at ``path``."""
        return path in self._meant

    def missing_key(self, path: str, hint: str) -> None:
        """Report a missing key, unless an unknown key was reported that resembles it."""
        if self.is_meant(path):
            self._wrong.add(path)
        else:
            self.error(path, "missing", _("missing key"), hint)

    def close(self, word: str, words: Iterable[str]) -> list[str]:
        """Return up to two known words that resemble ``word``, the most similar first."""
        if len(self._problems) >= MAX_PROBLEMS:
            return []
        from difflib import get_close_matches  # only a mistake needs it

        return get_close_matches(word[:64], list(words), n=2, cutoff=0.7)

    def near(self, word: str, words: Iterable[str], otherwise: str = "") -> str:
        """Return a hint with the known words that resemble ``word``, or else ``otherwise``."""
        close = self.close(word, words)
        if not close:
            return otherwise
        return _("did you mean {names}?").format(names=_(" or ").join(close))

    def problems(self) -> tuple[Problem, ...]:
        """Return everything found; what exceeds :data:`MAX_PROBLEMS` is summed up in a last entry."""
        if not self._more:
            return tuple(self._problems)
        level: Literal["error", "warning"] = "error" if self.failed else "warning"
        more = Problem(level, "more", "", _("and {count} more problems").format(count=self._more))
        return (*self._problems, more)

    def _add(self, problem: Problem) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)
        else:
            self._more += 1


def join(path: str, key: str) -> str:
    """Return the path of a key of the table at ``path``."""
    return f"{path}.{key}" if path else key


def _with_parents(path: str) -> list[str]:
    """Return the path and those of everything that contains it."""
    return ["", path, *(path[:at] for at, sign in enumerate(path) if sign in ".[")]
