"""What the last run left behind if it ended by the agent's own fault.

A crash of the interpreter (SIGSEGV, SIGABRT of systemd's watchdog and the like) is written here by faulthandler, an
unexpected exception by the agent, and what only systemd sees (out of memory, an exit status) by the unit's
``ExecStopPost``. A power cut, ``kill -9`` and an orderly stop leave nothing.
"""

import contextlib
import faulthandler
from pathlib import Path
from typing import IO

NAME = "fault"


class FaultFile:
    """The file ``fault`` of a state directory. Never fails: a disk that takes nothing only means that nothing is
    counted."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._open: IO[bytes] | None = None

    def taken(self) -> bool:
        """Whether the last run left something; it is taken away."""
        try:
            found = self._path.stat().st_size > 0
            if found:
                self._path.unlink()
        except OSError:
            return False
        return found

    def watch(self) -> None:
        """Have crashes of the interpreter written down from now on."""
        with contextlib.suppress(OSError):
            self._open = self._path.open("ab")
            faulthandler.enable(self._open)

    def note(self, text: str) -> None:
        """Write down a fault."""
        with contextlib.suppress(OSError), self._path.open("a") as file:
            file.write(text + "\n")

    def close(self) -> None:
        """The run ended in good order."""
        if self._open is not None:
            faulthandler.disable()
            self._open.close()
