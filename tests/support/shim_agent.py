"""An agent process whose gpiod finds a chip of the shim (`tests/support/gpio_shim`) in the place of the kernel's."""

import subprocess
from pathlib import Path

_SHIM = Path(__file__).with_name("gpio_shim") / "gpio_shim.c"
# Python reads this before the agent begins. Children of the agent have no chip.
_SITE = """\
import ctypes, sys, threading, time

def follow(shim, number, file):
    known = None
    while True:
        level = shim.shim_level(number, {line})
        if level != known:
            known = level
            with open(file, "w") as stream:
                stream.write(str(level))
        time.sleep(0.005)

if "run" in sys.orig_argv:
    shim = ctypes.CDLL({library!r})
    number = shim.shim_add({chip!r}.encode(), b"bench", 8)
    threading.Thread(target=follow, args=(shim, number, {level!r}), daemon=True).start()
"""


class ShimmedChip:
    """A chip below ``folder`` of which one line is watched.

    ``packages`` and ``environ`` are for :class:`~tests.support.agent_process.AgentProcess`.
    """

    def __init__(self, folder: Path, line: int = 3) -> None:
        library, self._level = folder / "gpio_shim.so", folder / "level"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, _SHIM], check=True)
        self.line = line
        self.device = folder / "gpiochip0"
        self.device.touch()
        self.packages = folder / "packages"
        self.packages.mkdir()
        site = _SITE.format(line=line, library=str(library), chip=str(self.device), level=str(self._level))
        (self.packages / "sitecustomize.py").write_text(site)
        self.environ = {"LD_PRELOAD": str(library)}

    @property
    def level(self) -> str:
        """How the line stands on the wire: 0 or 1; nothing before the agent runs."""
        return self._level.read_text() if self._level.exists() else ""
