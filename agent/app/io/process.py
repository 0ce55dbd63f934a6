"""What the kernel says of this process."""

import resource
from typing import NamedTuple


class Usage(NamedTuple):
    """``cpu_s``: processor time used so far; ``memory_peak_bytes``: the most memory that was resident."""

    cpu_s: float
    memory_peak_bytes: int


def usage() -> Usage:
    """The use of resources since the process was started."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
