"""Resource usage of this process."""

import resource
from typing import NamedTuple


class Usage(NamedTuple):
    """``cpu_s``: processor time used so far; ``memory_peak_bytes``: peak resident memory."""

    cpu_s: float
    memory_peak_bytes: int


def usage() -> Usage:
    """Return the resources used since the process started."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
