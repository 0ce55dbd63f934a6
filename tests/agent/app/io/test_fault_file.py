"""Only what is the agent's own fault is counted."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.app.io.fault_file import FaultFile

CRASHES = """
import os, sys
from pathlib import Path
from agent.app.io.fault_file import FaultFile
fault = FaultFile(Path(sys.argv[1]))
fault.watch()
os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize(("number", "counts"), [(11, True), (6, True), (7, True), (9, False), (15, False)])
def test_a_crash_is_written_down_and_a_kill_is_not(tmp_path: Path, number: int, counts: bool) -> None:
    subprocess.run([sys.executable, "-c", CRASHES, str(tmp_path), str(number)], check=False)
    fault = FaultFile(tmp_path)
    assert [fault.pop(), fault.pop()] == [counts, False]


def test_what_is_noted_is_taken_once_and_a_good_end_leaves_nothing(tmp_path: Path) -> None:
    fault = FaultFile(tmp_path)
    fault.watch()
    fault.close()
    assert not FaultFile(tmp_path).pop()
    fault.record("a reason")
    assert FaultFile(tmp_path).pop()


def test_a_directory_that_is_not_there_counts_nothing_and_fails_nothing(tmp_path: Path) -> None:
    fault = FaultFile(tmp_path / "gone")
    fault.watch()
    fault.record("x")
    fault.close()
    assert not fault.pop()
