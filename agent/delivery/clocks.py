"""The two clocks that a service needs, as one argument."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """``now_s``: the event loop's time in seconds. ``mono_ms``: milliseconds since boot, as in rows."""

    now_s: Callable[[], float]
    mono_ms: Callable[[], int]
