"""Small files that are whole or absent, in a directory that one agent holds."""

import shutil
from pathlib import Path

import pytest

from agent.base.io.state_dir import StateDir, StateDirLocked


def test_a_directory_belongs_to_one_agent_at_a_time(tmp_path: Path) -> None:
    first = StateDir(tmp_path / "state")
    with pytest.raises(StateDirLocked):
        StateDir(tmp_path / "state")
    first.close()
    StateDir(tmp_path / "state").close()


def test_generations_count_up_over_restarts_and_survive_a_damaged_file(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert [state.next_generation() for _ in range(3)] == [1, 2, 3]
    state.close()
    state = StateDir(tmp_path)
    assert state.next_generation() == 4
    (tmp_path / "gen").write_bytes(b"\xff\xfe")
    assert state.next_generation() == 5, "what is known goes on, whatever the file says"
    state.close()
    (tmp_path / "gen").write_bytes(b"\xff\xfe")
    state = StateDir(tmp_path)
    assert state.next_generation() == 1
    state.close()


def test_a_directory_that_is_deleted_is_made_again_and_goes_on(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    key = state.secret("key", 16)
    assert [state.next_generation() for _ in range(3)] == [1, 2, 3]
    shutil.rmtree(tmp_path / "state")
    assert state.next_generation() == 4
    assert (tmp_path / "state" / "gen").read_text() == "4\n"
    assert state.secret("key", 16) == key
    with pytest.raises(StateDirLocked):
        StateDir(tmp_path / "state")
    state.close()


def test_where_there_can_be_no_directory_all_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    state = StateDir(tmp_path / "file" / "state")
    assert state.failed
    first = state.next_generation()
    assert state.next_generation() == first + 1
    assert state.read("starts") == ""
    assert state.secret("key", 16) == state.secret("key", 16)
    state.close()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.read("note") == ""
    state.write("note", "one")
    state.write("note", "two")
    assert state.read("note") == "two"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "note"]
    state.close()
