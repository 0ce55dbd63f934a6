"""Tests for a real kernel, and for the shim below the GPIO library: neither is there in an ordinary run of pytest.

tests/integration/test_real_kernel.py runs all of them in a guest, tests/agent/sensing/io/test_gpio_lines.py those of
GPIO over the shim.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gpio_chips import ON_A_KERNEL, SHIM, Chips, ShimChips, SimulatedChips

collect_ignore_glob = [] if ON_A_KERNEL or SHIM else ["test_*.py"]


@pytest.fixture
def chips(tmp_path: Path) -> Iterator[Chips]:
    chips: Chips = SimulatedChips() if ON_A_KERNEL else ShimChips(tmp_path)
    yield chips
    chips.close()
