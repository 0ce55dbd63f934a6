"""Runs that ended by the agent's own fault: how long to wait before the next, when to leave the sensors out. Pure."""

import json
from dataclasses import asdict, dataclass

QUICK_S = 300.0
"""A run that lasted this long was a good one, however it ended."""
SAFE_AFTER = 5
SAFE_S = 3600.0
"""How long safe mode lasts before the sensors are tried once more."""
_WAITS_S = (0.0, 0.0, 2.0, 5.0, 15.0, 0.0, 30.0, 60.0)
"""By the number of bad ends. Safe mode is tried at once; what fails in it as well, such as the disk, has time."""


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """``failed``: how many runs in a row ended soon, by the agent's own fault, within one boot (``bid``). A power cut,
    ``kill -9`` and an orderly stop are nobody's fault (:mod:`agent.app.io.fault_file`)."""

    boot_id: str
    failed: int = 0

    @property
    def safe(self) -> bool:
        """Whether to run without sensors: one of them, or its driver, may be what ends the agent."""
        return self.failed >= SAFE_AFTER

    @property
    def wait_s(self) -> float:
        """Seconds before this start: longer each time, so that nothing is worn out by starting. systemd 252 cannot."""
        return _WAITS_S[self.failed]

    def after_fault(self) -> "CrashLoop":
        """The last run ended by its own fault."""
        return CrashLoop(self.boot_id, min(self.failed + 1, len(_WAITS_S) - 1))

    def encoded(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self)) + "\n"


def decoded(text: str, boot_id: str) -> CrashLoop:
    """What was kept, as it counts in this boot."""
    try:
        found = json.loads(text)
        failed = found["failed"] if found["boot_id"] == boot_id else 0
    except (ValueError, TypeError, LookupError):
        failed = 0
    return CrashLoop(boot_id, failed if isinstance(failed, int) and 0 <= failed < len(_WAITS_S) else 0)
