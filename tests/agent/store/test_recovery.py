"""How a store goes on after damage, a move, a cut, or a time in memory."""

import pytest

from agent.store.recovery import (
    AsideFile,
    hold_for_rescue,
    in_new_epoch,
    lost_after_rescue,
    merged,
    new_epoch_reason,
    number_beyond,
    parse_rescues,
    rescued_row,
    rescues_text,
    without_holds,
)
from agent.store.stream_account import StreamAccount
from tests.agent.store.store_fakes import A, row


def test_files_that_wait_for_the_rescue_are_remembered() -> None:
    files = [AsideFile("store.db.broken-1", {"1": A}, {A: 7}), AsideFile("two", {}, {})]
    assert parse_rescues(rescues_text(files)) == files


@pytest.mark.parametrize("text", ["", "{", "7", '{"file":"x"}', '[7,{"file":7},{"file":"x","ep":"y","names":[]}]'])
def test_a_list_of_files_that_makes_no_sense_is_empty(text: str) -> None:
    assert parse_rescues(text) == []


@pytest.mark.parametrize(
    ("properties", "board", "why"),
    [
        ({}, "", ""),
        ({}, "1000", ""),
        ({"board": "1000"}, "1000", ""),
        ({"board": "1000"}, "", ""),
        ({"board": "1000"}, "2000", "other_board"),
        ({"board": "1000", "boot": "b1", "clean": "0"}, "2000", "other_board"),
        ({"boot": "b1", "clean": "1"}, "", ""),
        ({"boot": "b1", "clean": "0"}, "", "unclean_reboot"),
        ({"boot": "b1"}, "", "unclean_reboot"),
        ({"boot": "b2", "clean": "0"}, "", ""),
    ],
)
def test_an_epoch_begins_where_numbers_could_be_given_twice(properties: dict[str, str], board: str, why: str) -> None:
    assert new_epoch_reason(properties, board, "b2") == why


def test_numbers_go_on_beyond_all_that_can_have_been_given() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 7)
    assert number_beyond({A: account}, 5000, 4000) == 500
    assert number_beyond({A: account}, 3000, 4000) == 400, "the clock may be wrong"
    assert number_beyond({A: StreamAccount([(1, "a")], 9999)}, 5000, 4000) == 9999
    assert number_beyond({}, 0, 0) == 1


def test_numbers_are_continued_in_another_epoch_on_copies() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 7)
    copy = in_new_epoch({A: account}, "bbbbbbbb")[A]
    assert copy.epochs == [(1, "aaaaaaaa"), (7, "bbbbbbbb")]
    assert account.epochs == [(1, "aaaaaaaa")]


def test_after_a_time_in_memory_nothing_is_held_and_what_was_settled_there_is_gone() -> None:
    account = StreamAccount([(1, "a"), (10, "b")], 20, settled=[(1, 3), (8, 14)], held=[(4, 6)])
    free = without_holds(account, 10)
    assert list(free.held) == []
    assert list(free.gone) == [(10, 14)]
    assert list(account.held) == [(4, 6)]
    assert (list(free.settled), free.next) == ([(1, 3), (8, 14)], 20)


def test_numbers_that_were_given_without_knowing_the_file_come_behind_its_own() -> None:
    older = StreamAccount([(1, "a")], 10, settled=[(1, 5)], gone=[(1, 2)])
    newer = StreamAccount([(1, ""), (100, "c")], 120, settled=[(1, 110)], gone=[(1, 105)])
    account = merged(older, newer, "c")
    assert account.epochs == [(1, "a"), (10, ""), (100, "c")]
    assert list(account.settled) == [(1, 5), (10, 110)]
    assert list(account.gone) == [(1, 2), (10, 105)]
    assert account.next == 120
    assert older.next == 10


def test_a_stream_that_only_the_file_knows_goes_on() -> None:
    account = merged(StreamAccount([(1, "a")], 10), None, "c")
    assert (account.epochs, account.next) == ([(1, "a"), (10, "c")], 10)


def test_what_is_owed_from_before_a_damage_is_held_and_what_is_not_found_is_lost() -> None:
    account = StreamAccount([(1, "a"), (4, "b"), (10, "c")], 20, settled=[(2, 3)])
    hold_for_rescue({A: account}, AsideFile("another", {}, {"telemetry/b": 10}))
    assert list(account.held) == []
    both = AsideFile("aside", {}, {A: 10})
    hold_for_rescue({A: account}, both)
    assert list(account.held) == [(1, 2), (3, 10)]
    assert lost_after_rescue({A: account}, AsideFile("older", {}, {A: 4})) == [(A, "a", 1, 2), (A, "a", 3, 4)]
    assert lost_after_rescue({A: account}, both) == [(A, "a", 1, 2), (A, "a", 3, 4), (A, "b", 4, 10)]


def test_a_rescued_row_that_is_held_is_put_back_and_no_longer_held() -> None:
    account = StreamAccount([(1, "aaaaaaaa"), (5, "bbbbbbbb")], 9, held=[(1, 5)])
    assert rescued_row(account, row(2)) == row(2)
    assert list(account.held) == [(1, 2), (3, 5)]
    assert rescued_row(account, row(2)) is None, "it is there already"
    assert rescued_row(account, row(3, epoch="")) == row(3, epoch="aaaaaaaa"), "the account knows the epoch"


def test_a_rescued_row_of_numbers_that_were_skipped_is_put_back() -> None:
    account = StreamAccount.starting_at(100, "bbbbbbbb")
    assert rescued_row(account, row(7)) == row(7)
    assert account.epoch_of(7) == "aaaaaaaa"
    assert account.unsettled() == 1
    assert rescued_row(account, row(8, epoch="")) is None, "nobody knows its epoch"


def test_a_rescued_row_that_was_settled_is_not_put_back() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 9, settled=[(1, 9)], gone=[(1, 9)])
    assert rescued_row(account, row(2)) is None
