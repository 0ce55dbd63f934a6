"""What is known of an update whose record is lost."""

import json
from dataclasses import replace

import pytest

from agent.config.generation import Generation
from agent.update.io.update_dir import UpdateDir
from agent.update.signed.trust import Followed, encode_root
from agent.update.signed.version_mark import Mark
from agent.update.state import UpdateState
from tests.agent.update.io.update_disk import ONE, ROOT, Disk, begin
from tests.agent.update.signing_fakes import document


def test_a_state_that_is_lost_is_said_to_be() -> None:
    disk = begin(5)
    disk.contents |= {"state.0": b"", "state.1": b"\0" * 100}
    files = UpdateDir(disk)
    assert (files.lost, files.state) == (True, UpdateState("confirmed", good=ONE.name))
    assert not UpdateDir(Disk()).lost


def _configured(version: int) -> Generation:
    return Generation("one = 1", "", json.dumps(document(version=version)))


def _with(*generations: Generation) -> Disk:
    """A disk with these, of which the record is lost."""
    disk = Disk()
    files = UpdateDir(disk)
    files.keep_trust(Followed(ROOT, encode_root(ROOT)), "origin")
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
    UpdateDir(disk).keep_trust(Followed(lost, encode_root(lost)))
    disk.contents |= {"state.0": b"", "state.1": b""}
    mark = UpdateDir(disk).state.mark
    assert (mark.version, mark.root) == (version, ROOT.version)


def test_a_mark_from_elsewhere_is_taken_where_it_is_higher() -> None:
    files = UpdateDir(_with(_configured(9)))
    assert not files.merge_mark(None)
    assert not files.merge_mark(Mark(8, "eight", 1))
    assert files.merge_mark(Mark(12, "twelve", 1))
    assert (files.state.mark, files.unwritten) == (Mark(12, "twelve", 1), True)


def test_trust_is_lost_where_there_was_one() -> None:
    assert not UpdateDir(Disk()).trust_lost
    disk = Disk()
    UpdateDir(disk).keep_trust(Followed(ROOT, encode_root(ROOT)), "origin")
    assert not UpdateDir(disk).trust_lost
    for name in ("trust.0", "trust.1"):
        disk.contents[name] = b"x"
    assert UpdateDir(disk).trust_lost
    for name in ("trust.0", "trust.1"):
        del disk.contents[name]
    assert UpdateDir(disk).trust_lost
