"""How long the parts of an update wait for each other: one value, so that a test can shorten it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpdateTimings:
    """All in seconds.

    ``tick_s``: how often a trial is judged. ``confirm_s``: how long a change of the gateway's own files is tried.
    ``again_s``: after which a message is examined again that this gateway failed to examine. ``clock_s``: how often the
    clock is read while a message waits for another time; ``prove_s``: while an expiry is still to be proven.
    ``files_s``: how often missing drivers are looked for. ``settle_s``: after which a disk that refused a step is asked
    again. ``set_down_s``: what a stop may take to note a trial.
    """

    tick_s: float = 0.5
    confirm_s: float = 300.0
    again_s: float = 300.0
    clock_s: float = 10.0
    prove_s: float = 10.0
    files_s: float = 60.0
    settle_s: float = 10.0
    set_down_s: float = 0.5
