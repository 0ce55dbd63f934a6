"""GPIO chips whose lines a test moves: gpio-sim of a real kernel, or the shim below the library.

Which of them: ``GARDU_KERNEL`` is set in a guest of ``tests/hosts/kernel/run``, ``GARDU_GPIO_SHIM`` (the shim's file)
where ``LD_PRELOAD`` names it.
"""

import ctypes
import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

ON_A_KERNEL = "GARDU_KERNEL" in os.environ
SHIM = os.environ.get("GARDU_GPIO_SHIM", "")
only_a_kernel = pytest.mark.skipif(not ON_A_KERNEL, reason="the shim has not these rules of the kernel")
only_the_shim = pytest.mark.skipif(ON_A_KERNEL, reason="takes too long there, or root may do everything")

_SETTINGS = Path("/sys/kernel/config/gpio-sim")
_TICK_S = 0.012
"""gpio-sim tells of a change at the next tick of the timer, 100 a second in user-mode Linux."""


class Chip(Protocol):
    """A chip. ``name``: of its device."""

    name: str

    def pull(self, *levels: tuple[int, int]) -> None:
        """Move lines (offset, level on the wire), all at the same time or nearly."""

    def level(self, offset: int) -> int:
        """How a line stands on the wire."""

    def remove(self, woken: bool = False) -> None:
        """Take the chip away. ``woken``: as a newer kernel, which wakes whoever waits for edges."""


class Chips(Protocol):
    """Makes chips. ``devices``: the folder of their devices."""

    devices: Path

    def add(self, label: str, lines: int = 8, names: Mapping[int, str] | None = None) -> Chip: ...
    def close(self) -> None: ...


class SimulatedChip:
    """A chip of gpio-sim, made through configfs."""

    def __init__(self, folder: Path, label: str, lines: int, names: Mapping[int, str]) -> None:
        bank = folder / "bank0"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text(str(lines))
        (bank / "label").write_text(label)
        for offset, name in names.items():
            (bank / f"line{offset}").mkdir()
            (bank / f"line{offset}" / "name").write_text(name)
        self._folder = folder
        (folder / "live").write_text("1")
        self.name = (bank / "chip_name").read_text().strip()
        self._device = Path("/sys/devices/platform") / (folder / "dev_name").read_text().strip() / self.name

    def pull(self, *levels: tuple[int, int]) -> None:
        for offset, level in levels:
            (self._device / f"sim_gpio{offset}" / "pull").write_text("pull-up" if level else "pull-down")
        time.sleep(_TICK_S)

    def level(self, offset: int) -> int:
        return int((self._device / f"sim_gpio{offset}" / "value").read_text())

    def remove(self, woken: bool = False) -> None:
        if (self._folder / "live").read_text().strip() == "1":
            (self._folder / "live").write_text("0")


class SimulatedChips:
    """gpio-sim."""

    devices = Path("/dev")

    def __init__(self) -> None:
        self._made: list[SimulatedChip] = []

    def add(self, label: str, lines: int = 8, names: Mapping[int, str] | None = None) -> SimulatedChip:
        folder = _SETTINGS / f"chip-{time.monotonic_ns()}"
        self._made.append(SimulatedChip(folder, label, lines, names or {}))
        return self._made[-1]

    def close(self) -> None:
        for chip in self._made:
            chip.remove()


class ShimChip:
    """A chip of the shim."""

    def __init__(self, shim: ctypes.CDLL, file: Path, label: str, lines: int, names: Mapping[int, str]) -> None:
        file.touch()
        self._shim = shim
        self._file = file
        self.name = file.name
        self._number = shim.shim_add(str(file).encode(), label.encode(), lines)
        assert self._number >= 0, "the shim has no room for one more chip"
        for offset, name in names.items():
            shim.shim_name(self._number, offset, name.encode())

    def pull(self, *levels: tuple[int, int]) -> None:
        for offset, level in levels:
            self._shim.shim_pull(self._number, offset, level)

    def level(self, offset: int) -> int:
        return int(self._shim.shim_level(self._number, offset))

    def remove(self, woken: bool = False) -> None:
        self._shim.shim_remove(self._number, int(woken))
        self._file.unlink(missing_ok=True)

    def forbid(self) -> None:
        """Let nobody open it."""
        self._shim.shim_refuse(self._number, errno.EACCES)


class ShimChips:
    """The shim; ``devices`` is a folder of the test."""

    def __init__(self, devices: Path) -> None:
        self.devices = devices
        self._shim = ctypes.CDLL(SHIM)
        self._made: list[ShimChip] = []

    def add(self, label: str, lines: int = 8, names: Mapping[int, str] | None = None) -> ShimChip:
        file = self.devices / f"gpiochip{len(self._made)}"
        self._made.append(ShimChip(self._shim, file, label, lines, names or {}))
        return self._made[-1]

    def close(self) -> None:
        for chip in self._made:
            chip.remove()
