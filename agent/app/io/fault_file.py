"""The record that a crash leaves for the next run.

Three parties write it: faulthandler when the interpreter crashes (SIGSEGV, systemd's watchdog with SIGABRT and the
like), the agent on an unexpected exception, and the unit's ``ExecStopPost`` for what only systemd sees (out of memory,
an exit status). A power cut, ``kill -9`` and a clean stop leave nothing.
"""

import contextlib
import faulthandler
from pathlib import Path
from typing import IO

NAME = "fault"


class FaultFile:
    """The file ``fault`` in the state directory. Never fails: if the disk is not writable, crashes are not counted."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._open: IO[bytes] | None = None

    def pop(self) -> bool:
        """Return whether the last run crashed, and delete its record."""
        try:
            crashed = self._path.stat().st_size > 0
            if crashed:
                self._path.unlink()
        except OSError:
            return False
        return crashed

    def watch(self) -> None:
        """Record crashes of the interpreter from now on."""
        with contextlib.suppress(OSError):
            self._open = self._path.open("ab")
            faulthandler.enable(self._open)

    def record(self, text: str) -> None:
        """Record an unexpected exception."""
        with contextlib.suppress(OSError), self._path.open("a") as file:
            file.write(text + "\n")

    def close(self) -> None:
        """Stop recording: the run ended cleanly."""
        if self._open is not None:
            faulthandler.disable()
            self._open.close()
