"""An account in the file is the account in memory, or it is damage."""

import pytest

from agent.store.format.account_text import account_columns, parse_account, parse_ranges, ranges_text
from agent.store.format.row_key import SEQ_BITS
from agent.store.stream_account import StreamAccount


def test_an_account_comes_back_as_it_was_written() -> None:
    account = StreamAccount([(1, ""), (5, "bbbbbbbb")], 20, [(1, 7), (9, 11)], [(1, 3)])
    columns = account_columns(account)
    assert columns == (20, "1: 5:bbbbbbbb", "1-7 9-11", "1-3")
    assert account_columns(parse_account(*columns)) == columns
    assert parse_ranges(ranges_text([(1, 2), (4, 9)])) == [(1, 2), (4, 9)]


@pytest.mark.parametrize(
    ("following", "epochs", "settled", "gone"),
    [
        (9, "", "", ""),
        (9, "x:aaaaaaaa", "", ""),
        (9, "5:aaaaaaaa 1:bbbbbbbb", "", ""),
        (9, "1:aaaaaaaa 1:bbbbbbbb", "", ""),
        (9, "1:aaaaaaaa", "0-2", ""),
        (9, "1:aaaaaaaa", "", "0-2"),
        (9, "1:aaaaaaaa", "1-x", ""),
        (9, "1:aaaaaaaa", "1-10", ""),
        (9, "1:aaaaaaaa", "", "1-10"),
        (4, "1:aaaaaaaa 5:bbbbbbbb", "", ""),
        (0, "1:aaaaaaaa", "", ""),
        (1 << SEQ_BITS, "1:aaaaaaaa", "", ""),
    ],
)
def test_an_account_that_makes_no_sense_is_damage(following: int, epochs: str, settled: str, gone: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any: all of them mean damage
        parse_account(following, epochs, settled, gone)


def test_the_largest_account_makes_sense() -> None:
    assert parse_account((1 << SEQ_BITS) - 1, "1:aaaaaaaa", "", "").next == (1 << SEQ_BITS) - 1
    assert parse_account(9, "1:aaaaaaaa 9:bbbbbbbb", "1-9", "1-9").unsettled() == 0
