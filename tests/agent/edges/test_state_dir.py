"""Small files that are whole or absent, in a directory that one agent holds."""

from pathlib import Path

import pytest

from agent.edges.state_dir import Held, StateDir


def test_a_directory_belongs_to_one_agent_at_a_time(tmp_path: Path) -> None:
    first = StateDir(tmp_path / "state")
    with pytest.raises(Held):
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
    assert state.next_generation() == 1
    state.close()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.read("note") == ""
    state.write("note", "one")
    state.write("note", "two")
    assert state.read("note") == "two"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "note"]
    state.close()
