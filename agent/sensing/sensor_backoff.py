"""Calculates how long a failed sensor waits before it is restarted. No I/O."""

from collections.abc import Callable

_MAX_DOUBLINGS = 16


def backoff_s(ceiling_s: tuple[float, float], failures: int, uniform: Callable[[float, float], float]) -> float:
    """Return the seconds to wait after this many failures in a row (1: the first).

    Drawn by ``uniform`` between 0 and a ceiling, so that sensors that failed together do not restart together.
    ``ceiling_s``: the ceiling after the first failure, which doubles with each further failure, and the maximum.
    """
    first_s, max_s = ceiling_s
    return uniform(0.0, min(max_s, first_s * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)))
