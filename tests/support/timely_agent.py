"""``gardu run`` whose clock a test sets, by files beside the configuration: ``clock`` holds the seconds by which it is
wrong, ``synchronised`` is there while a time server is heard, ``boot`` holds the boot's id."""

import sys
from pathlib import Path

from agent.base.io import clock
from agent.cli import main
from tests.support.hasty_agent import WrongTime

if __name__ == "__main__":
    folder = Path(sys.argv[sys.argv.index("--config") + 1]).parent
    clock.time = WrongTime(folder / "clock")  # type: ignore[assignment]
    clock._SYNCHRONISED, clock._BOOT_ID = folder / "synchronised", folder / "boot"
    clock._RECHECK_MS = 100
    clock._kernel_says_synchronised = lambda: False
    sys.exit(main())
