"""Counts crashes of the agent: how long to wait before the next start, and when to start safe mode. Pure."""

import json
from dataclasses import asdict, dataclass

QUICK_S = 300.0
"""A run that lasted this long counts as good, however it ended."""
SAFE_AFTER = 5
SAFE_S = 3600.0
"""How long safe mode lasts before the sensors are started again."""
_WAITS_S = (0.0, 0.0, 2.0, 5.0, 15.0, 0.0, 30.0, 60.0)
"""By number of crashes. Safe mode starts at once; if that crashes too (for a bad disk, say), restarting can wait."""


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """Counts consecutive runs of one boot that crashed early. A power cut, ``kill -9`` and a clean stop do not count
    (:mod:`agent.app.io.fault_file`)."""

    boot_id: str
    failed: int = 0

    @property
    def safe(self) -> bool:
        """Whether to run without sensors, since one of them or its driver may cause the crashes."""
        return self.failed >= SAFE_AFTER

    @property
    def wait_s(self) -> float:
        """Delay before this start in seconds. It grows, to spare the hardware; systemd 252 cannot do this."""
        return _WAITS_S[self.failed]

    def after_fault(self) -> "CrashLoop":
        """Return the count after another crash."""
        return CrashLoop(self.boot_id, min(self.failed + 1, len(_WAITS_S) - 1))

    def encoded(self) -> str:
        """Return the text to save."""
        return json.dumps(asdict(self)) + "\n"


def decoded(text: str, boot_id: str) -> CrashLoop:
    """Parse the saved text. A count of another boot, or an invalid one, is 0."""
    try:
        table = json.loads(text)
        failed = table["failed"] if table["boot_id"] == boot_id else 0
    except (ValueError, TypeError, LookupError):
        failed = 0
    return CrashLoop(boot_id, failed if isinstance(failed, int) and 0 <= failed < len(_WAITS_S) else 0)
