"""The files of an update: what each step writes, and what is left of it on a disk that forgets."""

import stat
from pathlib import Path

import pytest

from agent.base.io.atomic_files import AtomicDirectory
from agent.update.io.update_dir import UpdateDir
from agent.update.signed.trust import Floor, Followed, encode_root
from agent.update.signed.version_mark import Mark
from agent.update.state import UpdateState
from tests.agent.update.io.update_disk import CAUSE, ONE, ROOT, STATES, STEPS, TWO, Disk, PowerCut, begin


def test_a_bit_that_flips_is_noticed() -> None:
    whole = begin(len(STEPS)).contents
    for at in range(len(whole["state.1"])):
        flipped = bytearray(whole["state.1"])
        flipped[at] ^= 1
        assert UpdateDir(Disk({**whole, "state.1": bytes(flipped), "state.0": b""})).lost


def test_a_good_file_that_is_torn_leaves_the_one_before() -> None:
    disk = begin(7)
    assert UpdateDir(disk).good() == TWO
    disk.contents[f"generation-{TWO.name}"] = b""
    assert UpdateDir(disk).good() == ONE
    disk.contents[f"generation-{ONE.name}"] = disk.contents[f"generation-{ONE.name}"][:-1]
    assert UpdateDir(disk).good() is None


def test_a_candidate_whose_file_is_torn_is_none() -> None:
    disk = begin(4)
    disk.contents[f"generation-{TWO.name}"] = b"x"
    files = UpdateDir(disk)
    assert (files.candidate(), files.good(), files.state.under_way) == (None, ONE, True)
    files.roll_back(CAUSE)
    assert UpdateDir(disk).state.phase == "rolled_back"


def test_both_copies_hold_the_newest_state() -> None:
    disk = begin(6)
    assert disk.contents["state.0"] == disk.contents["state.1"] != b""


def test_a_copy_that_could_not_be_written_is_the_first_one_next_time() -> None:
    disk = Disk()
    files = UpdateDir(disk)
    disk.fail_at, disk.fails = 2, "an error before it"
    files.adopt(ONE)
    assert [disk.contents.get(f"state.{at}", b"") != b"" for at in (0, 1)] == [True, False]
    disk.operations, disk.fail_at, disk.fails = 0, 1, "a cut in it"
    with pytest.raises(PowerCut):
        files.stage(TWO)
    assert UpdateDir(Disk(disk.contents)).state == UpdateState().adopted(ONE.name)


def test_nothing_is_written_where_nothing_changes() -> None:
    disk = begin(2)
    files = UpdateDir(disk)
    writes = disk.writes
    for _ in range(1000):
        files.keep_trust(Followed(ROOT))
        UpdateDir(disk)
    assert disk.writes == writes


def test_generations_that_nobody_names_are_removed() -> None:
    disk = begin(len(STEPS))
    there = {name for name, content in disk.contents.items() if name.startswith("generation-") and content}
    assert there == {f"generation-{ONE.name}", f"generation-{TWO.name}"}


def test_the_mark_outlives_a_roll_back() -> None:
    files = UpdateDir(begin(5))
    files.roll_back(CAUSE)
    assert files.state.mark == Mark(2, "hash-2", 10, root=4)
    assert {"hash-2", TWO.name} <= set(files.state.bad)


def test_a_floor_is_taken_once_and_anew_from_another_chain() -> None:
    files = UpdateDir(begin(5))
    floored = Followed(ROOT, encode_root(ROOT), Floor(4, 1, 9))
    files.keep_trust(floored)
    assert files.state.mark.version == 2
    files.keep_trust(floored, "another origin")
    assert files.state.mark == Mark(1, "", 9, root=4)
    assert files.state.origin == "another origin"


def test_a_real_directory_keeps_files_for_this_user_alone(tmp_path: Path) -> None:
    place = tmp_path / "state" / "config"
    files = UpdateDir(AtomicDirectory(place))
    for _, step in STEPS[:5]:
        step(files)
    again = UpdateDir(AtomicDirectory(place))
    assert (again.state, again.trust, again.good(), again.candidate()) == (STATES[5], ROOT, ONE, TWO)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()} == {0o600}


def test_what_a_cut_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "state.0.new").write_bytes(b"half a st")
    folder = AtomicDirectory(tmp_path)
    folder.write("state.0", b"whole")
    assert folder.read("state.0") == b"whole"
    assert folder.names() == ["state.0"]
    folder.remove("state.0")
    folder.remove("state.0")
    assert folder.read("state.0") == b""


def test_what_the_disk_did_not_take_is_written_with_the_next_step_or_when_asked_for() -> None:
    for catch_up in (UpdateDir.settle, UpdateDir.probation):
        disk = begin(3)
        files = UpdateDir(disk)
        disk.operations, disk.fail_at, disk.fails = 0, 0, "an error before it"
        with pytest.raises(OSError, match="space"):
            files.applying()
        assert (files.state.phase, files.unwritten) == ("applying", True)
        assert UpdateDir(Disk(dict(disk.contents))).state.phase == "staged"
        catch_up(files)
        assert not files.unwritten
        assert UpdateDir(disk).state == files.state


def test_a_card_that_does_not_give_a_copy_back_leaves_the_other(tmp_path: Path) -> None:
    files = UpdateDir(AtomicDirectory(tmp_path))
    files.adopt(ONE)
    (tmp_path / "state.0").unlink()
    (tmp_path / "state.0").mkdir()  # reading it is an error
    assert UpdateDir(AtomicDirectory(tmp_path)).state == files.state


def test_a_directory_that_cannot_be_made_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = UpdateDir(AtomicDirectory(tmp_path / "file" / "config"))
    assert (files.state, files.lost) == (UpdateState(), False)
    with pytest.raises(OSError, match="file"):
        files.adopt(ONE)


def test_a_directory_that_is_deleted_underneath_is_made_again(tmp_path: Path) -> None:
    folder = AtomicDirectory(tmp_path / "config")
    files = UpdateDir(folder)
    (tmp_path / "config").rmdir()
    assert folder.names() == []
    files.adopt(ONE)
    assert UpdateDir(folder).good() == ONE
