"""Starts that ended badly and soon: how long to wait before the next, and when to go on without sensors. Pure."""

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
class Starts:
    """``failed``: how many starts in a row ended badly and soon. Within one boot (``bid``): a cut of power is nobody's
    fault."""

    bid: str
    failed: int = 0

    @property
    def safe(self) -> bool:
        """Whether to run without sensors: one of them, or its driver, may be what ends the agent."""
        return self.failed >= SAFE_AFTER

    @property
    def wait_s(self) -> float:
        """Seconds before this start: longer each time, so that nothing is worn out by starting. systemd 252 cannot."""
        return _WAITS_S[self.failed]

    def begun(self) -> "Starts":
        """What is kept while the agent runs: it counts as failed until it has ended well, or lasted."""
        return Starts(self.bid, min(self.failed + 1, len(_WAITS_S) - 1))

    def encoded(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self)) + "\n"


def decoded(text: str, bid: str) -> Starts:
    """What was kept, as it counts in this boot."""
    try:
        found = json.loads(text)
        failed = found["failed"] if found["bid"] == bid else 0
    except (ValueError, TypeError, LookupError):
        failed = 0
    return Starts(bid, failed if isinstance(failed, int) and 0 <= failed < len(_WAITS_S) else 0)
