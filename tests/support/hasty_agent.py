"""``gardu run`` that looks at things more often, and whose clock a test sets: the file ``clock`` beside the
configuration holds the seconds by which it is wrong."""

import sys
import time
from pathlib import Path

import agent.app.supervisor
from agent.base.io import clock
from agent.cli import main
from agent.update.timings import UpdateTimings


class WrongTime:
    """The module ``time`` as the clock uses it."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
    clock_gettime_ns = staticmethod(time.clock_gettime_ns)

    def __init__(self, file: Path) -> None:
        self._file = file

    def time_ns(self) -> int:
        """What the clock shows."""
        wrong_s = int(self._file.read_text()) if self._file.exists() else 0
        return time.time_ns() + wrong_s * 10**9


if __name__ == "__main__":
    agent.app.supervisor.TIMINGS = UpdateTimings(clock_s=0.2, confirm_s=2.0)
    clock.time = WrongTime(Path(sys.argv[sys.argv.index("--config") + 1]).with_name("clock"))  # type: ignore[assignment]
    sys.exit(main())
