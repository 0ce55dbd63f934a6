"""The GPIO edge on the unmodified library, without a kernel that has GPIO.

A shim below the library stands for the kernel. It must be loaded before the program starts, so the tests themselves
(tests/hosts/guest) run in another Python; tests/integration/test_real_kernel.py runs the same ones on a kernel.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[4]
_SHIM = _ROOT / "tests/support/gpio_shim/gpio_shim.c"
_TESTS = ("tests/hosts/guest/test_gpio_lines.py", "tests/hosts/guest/test_gpio_sensors.py")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, built."""
    library = tmp_path_factory.mktemp("shim") / "gpio_shim.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, _SHIM], check=True)
    return library


@pytest.mark.parametrize("tests", _TESTS)
def test_over_the_shim(shim: Path, tmp_path: Path, tests: str) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(shim), "GARDU_GPIO_SHIM": str(shim)}
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", f"--basetemp={tmp_path}/inner")
    inner = subprocess.run([*command, tests], cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert inner.returncode == 0, inner.stdout + inner.stderr
