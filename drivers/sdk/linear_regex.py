"""Regular expressions that are matched in linear time, whatever the pattern and the text: RE2.

Python's own engine may need longer than the age of the universe for a pattern such as ``(a+)+b``, and it blocks the
interpreter for so long: neither a thread nor a time limit helps. A pattern comes with a configuration, from outside.
RE2 has no look-around, back-references or conditionals (https://github.com/google/re2/wiki/Syntax).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

MAX_CHARS = 1000
_MAX_BYTES = 1 << 20
"""Memory for a compiled pattern."""


class PatternError(ValueError):
    """The pattern cannot be used; the text says why."""


class Match(Protocol):
    """A match."""

    def start(self) -> int: ...
    def groupdict(self) -> dict[str, str | None]: ...


class Pattern(Protocol):
    """The used part of a compiled pattern."""

    @property
    def groupindex(self) -> Mapping[str, int]: ...
    def fullmatch(self, text: str, pos: int = 0) -> Match | None: ...
    def finditer(self, text: str) -> Iterator[Match]: ...


def compiled(source: str) -> Pattern:
    """Compile a pattern. Raises :class:`PatternError`. Loads RE2 (3 MB) when it is first called."""
    if len(source) > MAX_CHARS:
        raise PatternError(f"it is longer than {MAX_CHARS} characters")
    try:
        import re2
    except ImportError:
        raise PatternError("patterns need the package google-re2") from None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_BYTES
    try:
        pattern: Any = re2.compile(source, options)
    except re2.error as error:
        why = error.args[0]
        raise PatternError(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None
    return pattern  # type: ignore[no-any-return]
