"""Time limits of configuration updates, in one value that a test can shorten."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpdateTimings:
    """All values are in seconds.

    ``tick_s``: how often a trial is judged. ``confirm_s``: how long a change of the gateway's own files is on trial.
    ``retry_s``: delay before a message is examined again after this gateway failed to examine it. ``clock_s``: how
    often to check the clock while a message was rejected for its dates; ``prove_s``: while an accepted document's
    expiry is unproven. ``files_s``: how often to look for missing drivers. ``settle_s``: delay before a failed write is
    retried. ``suspend_s``: time that a stop may take to save the state of a trial.
    """

    tick_s: float = 0.5
    confirm_s: float = 300.0
    retry_s: float = 300.0
    clock_s: float = 10.0
    prove_s: float = 10.0
    files_s: float = 60.0
    settle_s: float = 10.0
    suspend_s: float = 0.5
