"""Times and sizes of the store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Times in seconds, sizes in readings where nothing else is said.

    ``max_pending``: held before they have a number (about 6 MB); beyond it the oldest are dropped. ``full_pending``,
    ``roomy_pending``: how many may wait for a number before the sensors wait as well, and when they go on.
    ``max_commit``, ``cramped_commit``: of one commit; the latter where the log must not grow. ``memory_bytes``: of the
    rows that are numbered in memory.

    ``gap_s``: between two commits, so that readings that come one by one still share them. ``settle_s``: how long a
    settled range waits for a commit of readings to ride on. ``retry_s``: after a commit that failed. ``upkeep_s``:
    between two looks at the files; ``look_s``: between two looks at a disk that works. ``rescue_again_s``: before a
    rescue that failed is tried again.

    ``patience_s``: commits may fail for this long before numbers are given in memory. ``probe_s``, ``max_probe_s``:
    how soon, and after each failure twice as late, the disk is tried again.
    """

    max_pending: int = 20_000
    full_pending: int = 8_000
    roomy_pending: int = 4_000
    max_commit: int = 4_000
    cramped_commit: int = 400
    memory_bytes: int = 6 << 20
    gap_s: float = 0.005
    settle_s: float = 5.0
    retry_s: float = 0.5
    upkeep_s: float = 2.0
    look_s: float = 10.0
    rescue_again_s: float = 10.0
    patience_s: float = 3.0
    probe_s: float = 2.0
    max_probe_s: float = 15.0
