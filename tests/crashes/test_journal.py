"""A recording, played back, gives the directory that the process left."""

from pathlib import Path

import pytest

from tests.crashes.filesystem import Disk
from tests.crashes.journal import Mark
from tests.crashes.store_cuts import Recorder


@pytest.mark.parametrize("workload", ["append", "overflow", "full"])
def test_a_recording_leaves_what_the_process_left(library: Path, workload: str) -> None:
    recording = Recorder(library).record(workload)
    disk = Disk(recording.before)
    for operation in recording.operations:
        disk.apply(operation)
    assert disk.everything() == recording.after
    assert sum(isinstance(operation, Mark) for operation in recording.operations) > 10
