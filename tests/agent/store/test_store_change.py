"""What happened to the files has its line and its code."""

from pathlib import Path

import pytest

from agent.store.store_change import StoreChange, log_line_and_code
from agent.store.stream_account import StreamAccount
from tests.agent.store.store_fakes import A, B


@pytest.mark.parametrize(
    ("why", "words", "code"),
    [
        ("damaged", "the store is damaged (detail)", "store_damaged"),
        ("not_durable", "cannot write to the store (detail)", "store_write_failed"),
        ("missing", "the store in /x is missing or empty", "store_missing"),
        ("replaced", "the store in /x was deleted or replaced", "store_replaced"),
        ("unclean_reboot", "the last run did not stop cleanly", "unclean_reboot"),
        ("other_board", "the store was moved to another computer", "other_board"),
    ],
)
def test_each_reason_has_a_line_and_a_code(why: str, words: str, code: str) -> None:
    line, found = log_line_and_code(StoreChange("reset", why, "detail", "aaaaaaaa", {}), Path("/x"))
    assert line.startswith(words)
    assert found == code


def test_the_newest_ended_epoch_that_owes_rows_is_named_for_each_stream() -> None:
    accounts = {
        A: StreamAccount([(1, "a"), (4, "b"), (9, "c")], 20),
        B: StreamAccount([(1, "a"), (4, "c")], 20, settled=[(1, 4)]),
    }
    assert StoreChange("reset", "x", "", "c", accounts).before == [(A, "b", 9)]
