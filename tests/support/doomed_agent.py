"""``gardu run`` whose disk fails at a chosen write of the update files, or whose power is cut there.

``DOOM``: ``{"at": 3, "how": "cut before" | "cut after" | "full", "count": 1}`` in JSON; writes are counted from 1, once
``armed`` is in the directory of the configuration file. ``full``: this write and ``count - 1`` after it fail.
"""

import errno
import json
import os
import signal
import sys
from pathlib import Path

import agent.app.supervisor
from agent.base.io.atomic_files import AtomicDirectory
from agent.cli import main
from agent.update.timings import UpdateTimings


def _doom(at: int, how: str, count: int = 1) -> None:
    armed = Path(sys.argv[sys.argv.index("--config") + 1]).with_name("armed")
    really = AtomicDirectory.write
    writes = 0

    def write(folder: AtomicDirectory, name: str, content: bytes) -> None:
        nonlocal writes
        writes += armed.exists()
        if how == "full" and at <= writes < at + count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if how == "cut before" and writes == at:
            os.kill(os.getpid(), signal.SIGKILL)
        really(folder, name, content)
        if how == "cut after" and writes == at:
            os.kill(os.getpid(), signal.SIGKILL)

    AtomicDirectory.write = write  # type: ignore[method-assign]


if __name__ == "__main__":
    # A gateway comes back to these after minutes.
    agent.app.supervisor.TIMINGS = UpdateTimings(retry_s=0.5, settle_s=0.2)
    if os.environ.get("DOOM"):
        _doom(**json.loads(os.environ["DOOM"]))
    sys.exit(main())
