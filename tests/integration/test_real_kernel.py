"""GPIO and I2C on a real kernel: user-mode Linux with gpio-sim and i2c-stub (tests/hosts/kernel)."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_KERNEL = _ROOT / "tests/hosts/kernel"
_TESTS = sorted(str(file.relative_to(_ROOT)) for file in (_ROOT / "tests/hosts/guest").glob("test_*.py"))
_BUILD_S, _RUN_S = 3600, 240

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="user-mode Linux runs on x86-64 only"),
]


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    """The kernel is there before the clock of a test runs."""
    subprocess.run([_KERNEL / "build"], check=True, timeout=_BUILD_S)


def run(*command: str, seconds: int = _RUN_S) -> "subprocess.CompletedProcess[str]":
    """Run a command on it."""
    whole = [str(_KERNEL / "run"), "--seconds", str(seconds), *command]
    return subprocess.run(whole, cwd=_ROOT, capture_output=True, text=True, timeout=seconds + 30)


@pytest.mark.parametrize("tests", _TESTS)
def test_on_the_kernel(tests: str) -> None:
    pytest_there = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--basetemp=/run/pytest")
    guest = run(*pytest_there, tests)
    assert guest.returncode == 0, guest.stdout + guest.stderr


def test_a_guest_gives_its_output_and_its_exit_status() -> None:
    guest = run("sh", "-c", """printf 'two  words\\nit'"'"'s "quoted"\\n'; pwd; exit 7""")
    assert (guest.stdout, guest.returncode) == (f'two  words\nit\'s "quoted"\n{_ROOT}\n', 7)


def test_a_guest_cannot_change_the_host(tmp_path: Path) -> None:
    guest = run("touch", str(tmp_path / "here"))
    assert guest.returncode != 0
    assert not (tmp_path / "here").exists()


def test_a_guest_that_does_not_end_is_stopped() -> None:
    guest = run("sleep", "60", seconds=3)
    assert guest.returncode == 124
    assert guest.stderr.endswith("kernel: the guest did not end within 3 s\n")
