"""What is owed, as ranges within an epoch each."""

import pytest

from agent.store.stream_account import StreamAccount
from agent.store.unsettled_rows import is_complete, parse_row_ranges, split_by_epoch, unsettled_rows
from tests.agent.store.store_fakes import A, B, row

TWO = StreamAccount([(1, "aaaaaaaa"), (5, "bbbbbbbb")], 9, [(2, 4)])


def test_everything_that_is_not_settled_is_owed_epoch_by_epoch() -> None:
    assert unsettled_rows({A: TWO, B: StreamAccount([(1, "aaaaaaaa")], 1)}) == [
        (A, "aaaaaaaa", 1, 2),
        (A, "aaaaaaaa", 4, 5),
        (A, "bbbbbbbb", 5, 9),
    ]
    assert list(split_by_epoch(TWO, 3, 3)) == []


def test_a_note_is_believed_as_far_as_it_makes_sense() -> None:
    good = [A, "aaaaaaaa", 1, 4]
    bad = [[A, "a", 0, 4], [A, "a", 4, 4], [1, "a", 1, 2], [A, "a", "1", 2], "x", [A], None]
    assert parse_row_ranges([*bad, good]) == [tuple(good)]
    assert parse_row_ranges({"a": 1}) == parse_row_ranges(None) == []


@pytest.mark.parametrize(
    ("found", "start", "stop", "whole"),
    [
        ([1, 2, 3, 4], 1, 5, True),
        ([1, 4], 1, 5, True),
        ([4], 1, 5, False),
        ([1, 4], 1, 7, False),
        ([1, 4, 5, 6], 1, 7, True),
        ([1, 4, 6], 1, 7, False),
        ([], 2, 4, True),
        ([], 1, 4, False),
        ([5, 6, 7, 8], 5, 99, True),
        ([5, 6, 7], 5, 99, False),
    ],
)
def test_a_row_that_is_owed_must_be_there(found: list[int], start: int, stop: int, whole: bool) -> None:
    assert is_complete(TWO, [row(number) for number in found], start, stop) == whole
