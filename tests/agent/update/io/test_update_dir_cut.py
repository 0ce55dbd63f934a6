"""A power cut or an error at each write, in each step of an update, leaves a whole configuration."""

from itertools import count

import pytest

from agent.update.io.update_dir import UpdateDir
from tests.agent.update.io.update_disk import CUTS, ERRORS, ROOT, STATES, STEPS, TWO, Disk, PowerCut, begin


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


def _failing(at: int, fail_at: int, fails: str) -> tuple[Disk, UpdateDir]:
    """A disk before the step ``at``, of which one operation will fail, and the files on it."""
    disk = begin(at)
    files = UpdateDir(disk)
    disk.operations, disk.fail_at, disk.fails = 0, fail_at, fails
    return disk, files


@pytest.mark.parametrize("fails", CUTS)
@pytest.mark.parametrize("at", range(len(STEPS)), ids=[name for name, _ in STEPS])
def test_a_power_cut_at_each_write_of_each_step(at: int, fails: str) -> None:
    for fail_at in count():
        disk, files = _failing(at, fail_at, fails)
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
        disk, files = _failing(at, fail_at, first)
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
        disk, files = _failing(at, fail_at, fails)
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
    whole = begin(at).contents
    for name in ("state.0", "state.1", "trust.0", "trust.1"):
        torn = UpdateDir(Disk({**whole, name: whole[name][:keep]}))
        assert (torn.state, torn.trust, torn.lost) == (STATES[at], ROOT, False)
