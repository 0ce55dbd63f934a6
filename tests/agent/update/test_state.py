"""The steps of an update, and the mark below which nothing is taken again."""

import pytest

from agent.config.generation import Cause, Generation
from agent.update.signed import version_mark
from agent.update.signed.trust import Floor
from agent.update.signed.version_mark import Mark
from agent.update.state import MAX_ATTEMPTS, UpdateState, decode, encode

CAUSE = Cause("silent", "sensor air-1 stays silent", "sensor.air-1")
TRYING = UpdateState(good="g1").staged("g2", "hash-2", "message-2", Mark(2, "hash-2", 5))


def test_a_candidate_that_proves_itself_becomes_the_good_one() -> None:
    done = TRYING.applying().in_probation().confirmed()
    assert (done.phase, done.good, done.before, done.candidate, done.trying) == ("confirmed", "g2", "g1", "", "")
    assert (done.mark.version, done.processed, done.bad) == (2, "message-2", ())


@pytest.mark.parametrize("state", [TRYING, TRYING.applying(), TRYING.applying().in_probation()])
def test_a_candidate_can_be_given_up_in_every_phase(state: UpdateState) -> None:
    back = state.rolled_back(CAUSE)
    assert (back.phase, back.good, back.candidate, back.cause) == ("rolled_back", "g1", "", CAUSE)
    assert back.bad == ("g2", "hash-2")
    assert back.mark == Mark(2, "hash-2", 5)


def test_a_newer_candidate_takes_the_place_of_one_under_way() -> None:
    newer = TRYING.applying().in_probation().staged("g3", "hash-3", "message-3", Mark(3, "hash-3", 6))
    assert (newer.phase, newer.candidate, newer.good, newer.attempts) == ("staged", "g3", "g1", 0)


def test_a_local_edit_leaves_mark_and_message() -> None:
    edited = TRYING.applying().confirmed().staged("g3")
    assert (edited.mark, edited.processed, edited.trying) == (TRYING.mark, "message-2", "")
    assert edited.rolled_back(CAUSE).bad == ("g3",)


def test_a_candidate_is_begun_with_three_times() -> None:
    state = TRYING
    for _ in range(MAX_ATTEMPTS):
        assert not state.attempts_exhausted
        state = state.applying().in_probation()
    assert state.attempts_exhausted
    assert not state.confirmed().attempts_exhausted


@pytest.mark.parametrize("state", [UpdateState(), TRYING.confirmed(), TRYING.rolled_back(CAUSE)])
def test_without_a_candidate_there_is_nothing_to_decide(state: UpdateState) -> None:
    for step in (state.applying, state.in_probation, state.confirmed, lambda: state.rolled_back(CAUSE)):
        with pytest.raises(ValueError, match="no candidate"):
            step()


def test_only_the_last_bad_ones_are_remembered() -> None:
    state = UpdateState()
    for number in range(100):
        state = state.staged(f"g{number}", f"h{number}").rolled_back(CAUSE)
    assert len(state.bad) == 32
    assert state.bad[-1] == "h99"


@pytest.mark.parametrize("state", [UpdateState(), TRYING, TRYING.rolled_back(CAUSE), UpdateState().adopted("g1")])
def test_a_state_is_read_as_it_was_written(state: UpdateState) -> None:
    assert decode(encode(state)) == state


def test_keys_of_another_release_are_borne() -> None:
    raw = encode(TRYING)[:-1] + b', "colour": "blue"}'
    assert decode(raw) == TRYING
    assert decode(b'{"phase": "confirmed", "good": "g1"}') == UpdateState("confirmed", good="g1")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"phase": "flying"}',
        b'{"phase": "none", "mark": 1}',
        b"\xff",
        b'{"phase": "none", "cause": {"code": "x"}}',
        b"null",
        b'{"phase": "none", "attempts": "1"}',
        b'{"phase": "none", "bad": 5}',
        b"[" * 99_999,
        b'{"phase": "none", "mark": {"version": "9"}}',
        b'{"good": null}',
    ],
)
def test_what_is_no_state(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        decode(raw)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"base": 1, "overlay": "", "payload": null}', b"\xff"])
def test_what_is_no_generation(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        Generation.decoded(raw)


def test_a_generation_has_a_name_of_its_own() -> None:
    one = Generation('id = "é"\n', "x = 1\n", '{"version": 2}')
    assert Generation.decoded(one.encoded()) == one
    assert len({one.name, Generation(one.base).name, Generation(one.base, one.overlay).name, Generation("").name}) == 4


def test_the_mark_only_goes_up() -> None:
    mark = Mark(5, "five", 100)
    assert mark.raised(6, "six", 90) == Mark(6, "six", 100)
    assert mark.raised(4, "four", 200) == mark


def test_a_floor_replaces_the_mark_once() -> None:
    mark = Mark(10**9, "far", 10**15)
    floored = mark.floored(Floor(root=2, version=40, issued_ms=7))
    assert floored == Mark(40, "", 7, root=2)
    assert floored.raised(41, "next", 8).floored(Floor(2, 40, 7)) == Mark(41, "next", 8, root=2)
    assert floored.floored(Floor(1, 3, 1)) == floored
    assert floored.floored(None) == floored


@pytest.mark.parametrize(
    ("other", "proven"),
    [
        (None, Mark(5, "five", 1, root=2)),
        (Mark(6, "six", 9, root=2), Mark(6, "six", 9, root=2)),
        (Mark(900, "far", 9, root=1), Mark(5, "five", 1, root=2)),
        (Mark(1, "one", 9, root=3), Mark(1, "one", 9, root=3)),
    ],
)
def test_the_higher_of_two_marks_counts_unless_a_floor_lies_between(other: Mark | None, proven: Mark) -> None:
    assert Mark(5, "five", 1, root=2).highest(other) == proven


@pytest.mark.parametrize("text", ["", "x", "[]", "null", '{"version": "9"}', '{"version": true}', '{"hash": 1}'])
def test_what_is_no_mark(text: str) -> None:
    assert version_mark.parse(text) is None


def test_a_mark_is_read_as_it_was_written() -> None:
    mark = Mark(5, "five", 1, root=2)
    assert version_mark.parse(mark.encoded()) == mark
