"""What a value of a table may be, as an annotation of a dataclass field."""

from dataclasses import dataclass
from typing import Annotated

MAX_NUMBER = 1e300
"""The largest number that a factor or an offset may be: a product of two values stays finite or becomes infinite, but
never raises."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a value may be.

    ``min``, ``max``: bounds, inclusive; of a list or a mapping, the number of its entries. ``above``: an exclusive
    lower bound. ``pattern``: a string must match it as a whole. ``choices``: a string must be one of them. ``means``:
    the same in words, for people. ``multiline``: a string may have line breaks; ``control``: any control character.
    """

    min: float | None = None
    max: float | None = None
    above: float | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()
    means: str = ""
    multiline: bool = False
    control: bool = False


NO_LIMIT = Limit()

Number = Annotated[int | float, Limit(min=-MAX_NUMBER, max=MAX_NUMBER, means="a number")]
"""A number that stays an integer where it is written as one."""

Positive = Annotated[int | float, Limit(above=0, max=MAX_NUMBER, means="a number greater than 0")]

Scalar = Annotated[str | bool | int | float, Limit(means="a string, a number, true or false")]

Lines = Annotated[str, Limit(multiline=True)]
"""A text for people, of one or more lines."""

Text = Annotated[str, Limit(control=True)]
"""A text for a device: any characters."""

Hex = Annotated[
    str,
    Limit(pattern=r"\s*(?:[0-9A-Fa-f]{2}\s*)*", means='hexadecimal, as in "AA C0"', multiline=True),
]
