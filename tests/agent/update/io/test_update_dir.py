"""The files of an update: a power cut or an error at each write, in each step, leaves a whole configuration."""

import errno
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from agent.base.io.atomic_files import AtomicDirectory
from agent.config.generation import Cause, Generation
from agent.update.io.update_dir import UpdateDir
from agent.update.signed.trust import Floor, Followed, payload
from agent.update.signed.version_mark import Mark
from agent.update.state import UpdateState
from tests.agent.update.signing_fakes import document, root

ONE, TWO, THREE = Generation("one = 1"), Generation("one = 1", "", '{"version": 2}'), Generation("three = 3")
CAUSE = Cause("silent", "sensor air-1 stays silent", "sensor.air-1")
ROOT = root(4)


class PowerCut(BaseException):
    """The process is gone; no code of ours sees it."""


class Disk:
    """Files in memory, on which one operation fails. ``fails``: what becomes of it, and of the file."""

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        self.contents = contents if contents is not None else {}
        self.fail_at = -1
        self.fails = ""
        self.operations = 0
        self.writes = 0

    def read(self, name: str) -> bytes:
        return self.contents.get(name, b"")

    def write(self, name: str, content: bytes) -> None:
        self.writes += 1
        self._change(name, content)

    def remove(self, name: str) -> None:
        self._change(name, b"")

    def names(self) -> list[str]:
        return list(self.contents)

    def _change(self, name: str, content: bytes) -> None:
        self.operations += 1
        failing = self.operations - 1 == self.fail_at
        if not failing or self.fails.endswith("after it"):
            self.contents[name] = content
        elif self.fails == "a cut in it":
            self.contents[name] = content[: len(content) // 2]
        elif self.fails == "a cut that empties it":
            self.contents[name] = b""
        if failing and self.fails.startswith("a cut"):
            raise PowerCut
        if failing:
            raise OSError(errno.ENOSPC, "No space left on device")


CUTS = ("a cut before it", "a cut in it", "a cut that empties it", "a cut after it")
ERRORS = ("an error before it", "an error after it")

Step = Callable[[UpdateDir], None]
STEPS: list[tuple[str, Step]] = [
    ("adopt", lambda files: files.adopt(ONE)),
    ("trust", lambda files: files.keep_trust(Followed(ROOT, payload(ROOT), Floor(4, 1, 9)), "origin")),
    ("stage", lambda files: files.stage(TWO, "hash-2", "message-2", files.state.mark.raised(2, "hash-2", 10))),
    ("apply", lambda files: files.applying()),
    ("try", lambda files: files.probation()),
    ("apply again", lambda files: files.applying()),
    ("confirm", lambda files: files.confirm()),
    ("stage another", lambda files: files.stage(THREE)),
    ("apply another", lambda files: files.applying()),
    ("try another", lambda files: files.probation()),
    ("roll back", lambda files: files.roll_back(CAUSE)),
]


def _states() -> list[UpdateState]:
    """The state before the first step, and after each."""
    files = UpdateDir(Disk())
    states = [files.state]
    for _, step in STEPS:
        step(files)
        states.append(files.state)
    return states


STATES = _states()


def _begin(at: int) -> Disk:
    """A disk on which the steps before ``at`` have been done."""
    disk = Disk()
    files = UpdateDir(disk)
    for _, step in STEPS[:at]:
        step(files)
    return disk


def _assert_whole(files: UpdateDir, at: int) -> None:
    """The step ``at`` has happened or not, and whatever runs is whole."""
    assert files.state in (STATES[at], STATES[at + 1]) or STEPS[at][0] == "trust"
    assert not files.lost
    for name, found in ((files.state.good, files.good()), (files.state.candidate, files.candidate())):
        assert (found.name if found else "") == name
    if files.state.phase == "confirmed" and at >= 7:
        assert files.state.bad == ()
    assert files.state.mark.version in (STATES[at].mark.version, STATES[at + 1].mark.version)


def _finish(files: UpdateDir, at: int) -> None:
    """Go on from the step that was cut; the end is as if nothing had happened."""
    if files.state != STATES[at + 1]:
        STEPS[at][1](files)
    for _, step in STEPS[at + 1 :]:
        step(files)
    assert files.state == STATES[-1]
    assert files.good() == TWO
    assert files.trust == ROOT


@pytest.mark.parametrize("fails", CUTS)
@pytest.mark.parametrize("at", range(len(STEPS)), ids=[name for name, _ in STEPS])
def test_a_power_cut_at_each_write_of_each_step(at: int, fails: str) -> None:
    for fail_at in count():
        disk = _begin(at)
        files = UpdateDir(disk)
        disk.operations, disk.fail_at, disk.fails = 0, fail_at, fails
        try:
            STEPS[at][1](files)
        except PowerCut:
            disk.fail_at = -1
            again = UpdateDir(disk)
            _assert_whole(again, at)
            _finish(again, at)
        else:
            assert fail_at >= 2
            return


@pytest.mark.parametrize("second", CUTS)
@pytest.mark.parametrize("first", CUTS)
@pytest.mark.parametrize("at", range(len(STEPS)), ids=[name for name, _ in STEPS])
def test_a_power_cut_while_it_recovers_from_one(at: int, first: str, second: str) -> None:
    for fail_at in range(4):
        disk = _begin(at)
        files = UpdateDir(disk)
        disk.operations, disk.fail_at, disk.fails = 0, fail_at, first
        try:
            STEPS[at][1](files)
        except PowerCut:
            for again_at in range(8):
                _cut_again(Disk(dict(disk.contents)), at, again_at, second)


def _cut_again(disk: Disk, at: int, fail_at: int, fails: str) -> None:
    disk.fail_at, disk.fails = fail_at, fails
    try:
        files = UpdateDir(disk)
        if files.state != STATES[at + 1]:
            STEPS[at][1](files)
    except PowerCut:
        disk.fail_at = -1
        again = UpdateDir(disk)
        _assert_whole(again, at)
        _finish(again, at)


@pytest.mark.parametrize("fails", ERRORS)
@pytest.mark.parametrize("at", range(len(STEPS)), ids=[name for name, _ in STEPS])
def test_an_error_at_each_write_of_each_step_can_be_tried_again(at: int, fails: str) -> None:
    for fail_at in range(6):
        disk = _begin(at)
        files = UpdateDir(disk)
        disk.operations, disk.fail_at, disk.fails = 0, fail_at, fails
        try:
            STEPS[at][1](files)
        except OSError:
            _assert_whole(UpdateDir(Disk(dict(disk.contents))), at)  # a cut right behind the error
        disk.fail_at = -1
        _assert_whole(files, at)
        _finish(files, at)


@pytest.mark.parametrize("at", range(2, len(STEPS) + 1))
@pytest.mark.parametrize("keep", [0, 1, 40, 64, 65, 66, -2, -1])
def test_any_one_file_of_the_state_may_be_torn_at_rest(at: int, keep: int) -> None:
    whole = _begin(at).contents
    for name in ("state.0", "state.1", "trust.0", "trust.1"):
        torn = UpdateDir(Disk({**whole, name: whole[name][:keep]}))
        assert (torn.state, torn.trust, torn.lost) == (STATES[at], ROOT, False)


def test_a_bit_that_flips_is_noticed() -> None:
    whole = _begin(len(STEPS)).contents
    for at in range(len(whole["state.1"])):
        flipped = bytearray(whole["state.1"])
        flipped[at] ^= 1
        assert UpdateDir(Disk({**whole, "state.1": bytes(flipped), "state.0": b""})).lost


def test_a_good_file_that_is_torn_leaves_the_one_before() -> None:
    disk = _begin(7)
    assert UpdateDir(disk).good() == TWO
    disk.contents[f"generation-{TWO.name}"] = b""
    assert UpdateDir(disk).good() == ONE
    disk.contents[f"generation-{ONE.name}"] = disk.contents[f"generation-{ONE.name}"][:-1]
    assert UpdateDir(disk).good() is None


def test_a_candidate_whose_file_is_torn_is_none() -> None:
    disk = _begin(4)
    disk.contents[f"generation-{TWO.name}"] = b"x"
    files = UpdateDir(disk)
    assert (files.candidate(), files.good(), files.state.under_way) == (None, ONE, True)
    files.roll_back(CAUSE)
    assert UpdateDir(disk).state.phase == "rolled_back"


def test_a_state_that_is_lost_is_said_to_be() -> None:
    disk = _begin(5)
    disk.contents |= {"state.0": b"", "state.1": b"\0" * 100}
    files = UpdateDir(disk)
    assert (files.lost, files.state) == (True, UpdateState("confirmed", good=ONE.name))
    assert not UpdateDir(Disk()).lost


def test_both_copies_hold_the_newest_state() -> None:
    disk = _begin(6)
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
    disk = _begin(2)
    files = UpdateDir(disk)
    writes = disk.writes
    for _ in range(1000):
        files.keep_trust(Followed(ROOT))
        UpdateDir(disk)
    assert disk.writes == writes


def test_generations_that_nobody_names_are_removed() -> None:
    disk = _begin(len(STEPS))
    there = {name for name, content in disk.contents.items() if name.startswith("generation-") and content}
    assert there == {f"generation-{ONE.name}", f"generation-{TWO.name}"}


def test_the_mark_outlives_a_roll_back() -> None:
    files = UpdateDir(_begin(5))
    files.roll_back(CAUSE)
    assert files.state.mark == Mark(2, "hash-2", 10, root=4)
    assert {"hash-2", TWO.name} <= set(files.state.bad)


def test_a_floor_is_taken_once_and_anew_from_another_chain() -> None:
    files = UpdateDir(_begin(5))
    floored = Followed(ROOT, payload(ROOT), Floor(4, 1, 9))
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
        disk = _begin(3)
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


def _configured(version: int) -> Generation:
    return Generation("one = 1", "", json.dumps(document(version=version)))


def _with(*generations: Generation) -> Disk:
    """A disk with these, of which the record is lost."""
    disk = Disk()
    files = UpdateDir(disk)
    files.keep_trust(Followed(ROOT, payload(ROOT)), "origin")
    for generation in generations[:-1]:
        files.adopt(generation)
    files.stage(generations[-1])
    disk.contents |= {"state.0": b"", "state.1": b"\0" * 100}
    return disk


def test_the_newest_configuration_proves_the_version_and_is_tried_again() -> None:
    disk = _with(_configured(8), _configured(9))
    for _ in range(2):  # it is the same as long as it is not written
        files = UpdateDir(disk)
        assert (files.lost, files.state.mark.version, files.state.phase) == (True, 9, "staged")
        assert (files.candidate(), files.good()) == (_configured(9), _configured(8))
    files.settle()
    again = UpdateDir(disk)
    assert (again.lost, again.state) == (False, files.state)


def test_the_only_configuration_counts_as_good() -> None:
    disk = _with(_configured(9))
    files = UpdateDir(disk)
    assert (files.state.phase, files.good(), files.state.mark.version) == ("confirmed", _configured(9), 9)


@pytest.mark.parametrize(("floor", "version"), [(40, 40), (3, 9)])
def test_the_floor_of_the_root_proves_a_version_too(floor: int, version: int) -> None:
    disk = _with(_configured(9))
    lost = replace(ROOT, floor=floor)
    UpdateDir(disk).keep_trust(Followed(lost, payload(lost)))
    disk.contents |= {"state.0": b"", "state.1": b""}
    mark = UpdateDir(disk).state.mark
    assert (mark.version, mark.root) == (version, ROOT.version)


def test_a_mark_from_elsewhere_is_taken_where_it_is_higher() -> None:
    files = UpdateDir(_with(_configured(9)))
    assert not files.prove(None)
    assert not files.prove(Mark(8, "eight", 1))
    assert files.prove(Mark(12, "twelve", 1))
    assert (files.state.mark, files.unwritten) == (Mark(12, "twelve", 1), True)


def test_trust_is_lost_where_there_was_one() -> None:
    assert not UpdateDir(Disk()).trust_lost
    disk = Disk()
    UpdateDir(disk).keep_trust(Followed(ROOT, payload(ROOT)), "origin")
    assert not UpdateDir(disk).trust_lost
    for name in ("trust.0", "trust.1"):
        disk.contents[name] = b"x"
    assert UpdateDir(disk).trust_lost
    for name in ("trust.0", "trust.1"):
        del disk.contents[name]
    assert UpdateDir(disk).trust_lost


def test_a_directory_that_cannot_be_made_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = UpdateDir(AtomicDirectory(tmp_path / "file" / "config"))
    assert (files.state, files.lost) == (UpdateState(), False)
    with pytest.raises(OSError, match="config"):
        files.adopt(ONE)


def test_a_directory_that_is_deleted_underneath_is_made_again(tmp_path: Path) -> None:
    folder = AtomicDirectory(tmp_path / "config")
    files = UpdateDir(folder)
    (tmp_path / "config").rmdir()
    assert folder.names() == []
    files.adopt(ONE)
    assert UpdateDir(folder).good() == ONE
