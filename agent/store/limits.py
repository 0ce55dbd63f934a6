"""Time and size limits of the store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Times are in seconds, sizes in readings unless stated otherwise.

    ``max_pending``: readings held before they have a number (about 6 MB); beyond it the oldest are dropped.
    ``pause_pending``, ``resume_pending``: the queue lengths at which the sensors pause and resume. ``max_commit``,
    ``capped_commit``: the size of a commit; the latter while the log must not grow. ``memory_bytes``: the size of the
    database in memory.

    ``gap_s``: pause between two commits, so that readings that arrive one by one still share them. ``settle_s``: how
    long a settled range waits for a commit of readings to join. ``retry_s``: delay after a failed commit. ``upkeep_s``:
    interval of maintenance; ``disk_check_s``: interval of checks of a working disk. ``rescue_retry_s``: delay before a
    failed rescue is retried.

    ``failure_grace_s``: how long commits may fail before numbers are assigned in memory. ``probe_s``, ``max_probe_s``:
    the first delay before the disk is tried again, and the maximum; the delay doubles after each failure.
    """

    max_pending: int = 20_000
    pause_pending: int = 8_000
    resume_pending: int = 4_000
    max_commit: int = 4_000
    capped_commit: int = 400
    memory_bytes: int = 6 << 20
    gap_s: float = 0.005
    settle_s: float = 5.0
    retry_s: float = 0.5
    upkeep_s: float = 2.0
    disk_check_s: float = 10.0
    rescue_retry_s: float = 10.0
    failure_grace_s: float = 3.0
    probe_s: float = 2.0
    max_probe_s: float = 15.0
