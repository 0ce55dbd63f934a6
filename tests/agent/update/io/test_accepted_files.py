"""The state directory tells somebody beside the agent what became of the gateway's files, and is not changed."""

import json
from pathlib import Path

import pytest

from agent.base.io.atomic_files import AtomicDirectory
from agent.config.generation import Cause, Generation
from agent.update.io.accepted_files import AcceptedFiles, accepted_files
from agent.update.io.update_dir import UpdateDir
from tests.agent.update.signing_fakes import document

FIRST = Generation("a = 1")
SECOND = Generation("a = 2", "b = 1")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def update_dir(tmp_path: Path) -> UpdateDir:
    return UpdateDir(AtomicDirectory(tmp_path / "config"))


def test_there_is_nothing_to_say_before_anything_was_accepted(tmp_path: Path) -> None:
    assert accepted_files(tmp_path / "none", "a = 1", "") is None
    assert not (tmp_path / "none").exists()


def test_each_file_is_running_on_trial_rolled_back_or_not_loaded(tmp_path: Path, update_dir: UpdateDir) -> None:
    def use(generation: Generation) -> str:
        before = snapshot(tmp_path)
        found = accepted_files(tmp_path, generation.base, generation.overlay)
        assert snapshot(tmp_path) == before
        assert found is not None
        assert found.version == 0
        return found.use

    update_dir.adopt(FIRST)
    assert (use(FIRST), use(SECOND)) == ("running", "not_loaded")
    update_dir.stage(SECOND)
    update_dir.applying()
    assert (use(FIRST), use(SECOND)) == ("running", "on_trial")
    update_dir.roll_back(Cause("sensor", "air-1 is silent"))
    assert (use(FIRST), use(SECOND)) == ("running", "rolled_back")
    assert accepted_files(tmp_path, SECOND.base, SECOND.overlay) == AcceptedFiles("rolled_back", 0, "air-1 is silent")


def test_the_version_is_that_of_the_accepted_payload(tmp_path: Path, update_dir: UpdateDir) -> None:
    update_dir.adopt(FIRST)
    payload = json.dumps(document(version=7))
    update_dir.stage(Generation(FIRST.base, "", payload))
    update_dir.applying()
    update_dir.probation()
    update_dir.confirm()
    assert accepted_files(tmp_path, FIRST.base, "") == AcceptedFiles("running", 7)


@pytest.mark.parametrize("name", ["state.0", "state.1"])
def test_a_damaged_copy_is_survived(tmp_path: Path, update_dir: UpdateDir, name: str) -> None:
    update_dir.adopt(FIRST)
    (tmp_path / "config" / name).write_bytes(b"\0" * 50)
    assert accepted_files(tmp_path, FIRST.base, "") == AcceptedFiles("running", 0)
