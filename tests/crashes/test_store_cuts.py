"""No power cut, at any operation, loses, invents, alters or repeats an accepted reading; and the checker would notice.

At every commit about 3,000 directories are opened again, with ``--all`` more than 100,000.
"""

from itertools import count
from pathlib import Path

import pytest

from tests.crashes.cuts import Tally, cuts, share_for
from tests.crashes.store_cuts import Recorder, check_store
from tests.crashes.store_scenarios import SCENARIOS

STATES, MANY_STATES = 200, 7_200
"""In each of the fourteen scenarios."""
_CONTROLS = ("append", "evict", "begin epoch", "overflow")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_loses_nothing(library: Path, scenario: str) -> None:
    recording = SCENARIOS[scenario](Recorder(library))
    tally = check_store(recording, cuts(recording, 0, share=share_for(recording, STATES)))
    assert tally.examples == {}
    assert tally.states > 0.8 * STATES


@pytest.mark.long
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_great_many_power_cuts_lose_nothing(library: Path, scenario: str) -> None:
    states = 0
    for seed in count(1):
        recording = SCENARIOS[scenario](Recorder(library, seed))
        tally = check_store(recording, cuts(recording, seed, draws=6))
        assert (seed, tally.examples) == (seed, {})
        states += tally.states
        if states >= MANY_STATES:
            break


def control(library: Path, scenario: str, synchronous: str = "", *, lies: bool = False) -> Tally:
    """A setting under which a power cut must do harm."""
    recorder = Recorder(library)
    recorder.synchronous = synchronous
    recording = SCENARIOS[scenario](recorder)
    recording.account.damaged = lies
    return check_store(recording, cuts(recording, 0, share=share_for(recording, STATES), lies=lies))


@pytest.mark.parametrize("scenario", ["append", "evict"])
def test_without_a_sync_at_every_commit_readings_are_lost_but_nothing_else_happens(
    library: Path, scenario: str
) -> None:
    tally = control(library, scenario, "NORMAL")
    assert tally.kinds["lost"] > tally.states / 10
    assert set(tally.kinds) == {"lost"}, tally.examples


def test_without_any_sync_the_file_is_damaged_as_well(library: Path) -> None:
    tally = control(library, "append", "OFF")
    assert tally.kinds["lost"] > tally.states / 4
    assert tally.kinds["corrupt"] > tally.states / 50
    assert set(tally.kinds) <= {"lost", "corrupt", "altered"}, tally.examples


@pytest.mark.parametrize("scenario", _CONTROLS)
def test_a_disk_that_lies_loses_readings_but_no_number_is_given_twice_and_none_is_invented(
    library: Path, scenario: str
) -> None:
    tally = control(library, scenario, lies=True)
    assert tally.kinds["lost"] > tally.states / 2
    # A page that nobody has asked for yet may be damaged: it is found when it is read.
    assert set(tally.kinds) <= {"lost", "corrupt"}, tally.examples
    assert tally.kinds["corrupt"] < tally.states / 20
