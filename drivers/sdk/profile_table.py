"""Reading a profile's tables: every key checked, every problem noted with its path."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_REQUIRED = object()
_LARGEST = 1e300
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class ProfileProblem:
    """One thing wrong in a profile: where (a key path), and a sentence with places for ``values``.

    ``line``: of the profile's file, from 1; 0 where it is not known.
    """

    path: str
    sentence: str
    values: Mapping[str, object] = field(default_factory=dict)
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return (f"line {self.line}: " if self.line else "") + where + self.sentence.format(**self.values)


class ProfileError(ValueError):
    """A profile cannot be used. ``origin``: its file; ``problems``: all that is wrong with it."""

    def __init__(self, origin: str, problems: Iterable[ProfileProblem]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        super().__init__(f"{origin}: " + "; ".join(str(problem) for problem in self.problems))


class Table:
    """A TOML table that notes what was read, so that :meth:`done` can name what nobody asked for.

    Each method gives the key's value, or the default, or (noting a problem) a harmless stand-in.
    """

    def __init__(self, content: Mapping[str, object], path: str, problems: list[ProfileProblem]) -> None:
        self.path = path
        self.problems = problems
        self._content = content
        self._read: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def wrong(self, key: str, sentence: str, **values: object) -> None:
        """Note a problem at a key (or at the table itself, with an empty one)."""
        self.problems.append(ProfileProblem(".".join(part for part in (self.path, key) if part), sentence, values))

    def raw(self, key: str) -> object:
        """The value as TOML has it; None where it is absent."""
        self._read.append(key)
        return self._content.get(key)

    def text(self, key: str, default: str | object = _REQUIRED) -> str:
        value = self._value(key, default)
        if isinstance(value, str):
            return value
        self._not(key, value, "a string in quotes")
        return ""

    def one_of(self, key: str, choices: Iterable[str], default: str | object = _REQUIRED) -> str:
        value = self.text(key, default)
        known = tuple(choices)
        if value in known:
            return value
        if key in self:
            self.wrong(
                key, "{value} is unknown; expected one of {choices}", value=repr(value), choices=", ".join(known)
            )
        return known[0]

    def number(self, key: str, default: float | object = _REQUIRED) -> float:
        value = self._value(key, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST:
            return value
        self._not(key, value, "a number")
        return 1

    def positive(self, key: str, default: float) -> float:
        value = self.number(key, default)
        if value > 0:
            return value
        self._not(key, value, "a number greater than 0")
        return default

    def maybe_number(self, key: str) -> float | None:
        return self.number(key) if key in self else None

    def integer(
        self,
        key: str,
        default: int | object = _REQUIRED,
        *,
        least: int = -_MOST_BYTES,
        most: int = _MOST_BYTES,
    ) -> int:
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self._not(key, value, "an integer")
            return least if least > 0 else 1
        if not least <= value <= most:
            self.wrong(key, "{value} is not between {least} and {most}", value=value, least=least, most=most)
            return least if least > 0 else 1
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._value(key, default)
        if isinstance(value, bool):
            return value
        self._not(key, value, "true or false")
        return default

    def hexadecimal(self, key: str, default: str | object = _REQUIRED) -> bytes:
        return self._bytes(key, self.text(key, default))

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of texts, as a tuple; empty where it is absent."""
        value = self.raw(key)
        if value is None:
            return ()
        values = value if isinstance(value, list) else [value]
        good = tuple(text for text in values if isinstance(text, str))
        if len(good) != len(values):
            self._not(key, value, "a string or a list of strings")
        return good

    def table(self, key: str, *, required: bool = False) -> "Table":
        value = self.raw(key)
        if isinstance(value, dict):
            return Table(value, self._under(key), self.problems)
        if value is not None or required:
            self._not(key, value, "a table")
        return Table({}, self._under(key), self.problems)

    def tables(self, key: str) -> list["Table"]:
        """An array of tables, ``[[key]]``; empty where it is absent."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self._not(key, value, "an array of tables")
            return []
        return [Table(each, f"{self._under(key)}[{at}]", self.problems) for at, each in enumerate(value)]

    def keys(self) -> tuple[str, ...]:
        """Every key of the table; all of them count as read."""
        self._read.extend(self._content)
        return tuple(self._content)

    def done(self) -> None:
        """Note every key that nobody read."""
        for key in self._content:
            if key not in self._read:
                known = ", ".join(dict.fromkeys(self._read))
                self.wrong(key, "unknown key; expected one of {choices}", choices=known)

    def _under(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _value(self, key: str, default: object) -> object:
        value = self.raw(key)
        return default if value is None else value

    def _not(self, key: str, value: object, wanted: str) -> None:
        if value is _REQUIRED or value is None:
            self.wrong(key, "missing; expected {wanted}", wanted=wanted)
        else:
            self.wrong(key, "{value} is not {wanted}", value=repr(value), wanted=wanted)

    def _bytes(self, key: str, value: str) -> bytes:
        try:
            return bytes.fromhex(value)
        except ValueError:
            self.wrong(key, '{value} is not hexadecimal, as in "AA C0"', value=repr(value))
            return b""
