"""Where the numbers of a stream stand, as the agent keeps them."""

import pytest

from agent.store.stream_account import StreamAccount


def test_lo_is_the_lowest_number_that_is_not_settled() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], next_number=11, settled=[(1, 4), (6, 9)])
    assert account.low_water("aaaaaaaa") == 4
    account.settled.add(4, 6)
    assert account.low_water("aaaaaaaa") == 9
    account.settled.add(9, 11)
    assert account.low_water("aaaaaaaa") == 11


def test_what_is_owed_and_what_is_spent() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 11, settled=[(1, 4), (6, 9)], gone=[(1, 3)])
    assert list(account.deliverable()) == [(4, 6), (9, 11)]
    assert account.unsettled() == 4
    assert account.evictable() == (3, 4)
    account.gone.add(3, 4)
    assert account.evictable() == (6, 9), "delivered rows behind an outage are evictable too"
    assert account.first("aaaaaaaa") == 4


def test_each_epoch_has_its_own_account() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 5, settled=[(1, 3)])
    account.begin_epoch("bbbbbbbb", 5)
    account.next = 8
    assert account.epoch == "bbbbbbbb"
    assert (account.low_water("aaaaaaaa"), account.low_water("bbbbbbbb")) == (3, 5)
    assert account.span("aaaaaaaa") == (1, 5)
    assert account.span("bbbbbbbb") == (5, 8)
    assert (account.epoch_of(4), account.epoch_of(5)) == ("aaaaaaaa", "bbbbbbbb")
    with pytest.raises(KeyError):
        account.span("cccccccc")


def test_an_epoch_can_begin_at_numbers_that_were_given_already() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 9)
    account.begin_epoch("bbbbbbbb", 6)
    assert account.epochs == [(1, "aaaaaaaa"), (6, "bbbbbbbb")]
    account.begin_epoch("cccccccc", 6)
    assert account.epochs == [(1, "aaaaaaaa"), (6, "cccccccc")]


def test_an_ended_epoch_is_told_of_until_all_its_numbers_are_settled() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 5, settled=[(1, 3)])
    assert account.ended_epochs() == []
    account.begin_epoch("bbbbbbbb", 5)
    assert account.ended_epochs() == [("aaaaaaaa", 5)]
    account.settled.add(3, 5)
    assert account.ended_epochs() == []


def test_what_is_held_is_owed_but_not_asked_for() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 11, settled=[(1, 4)])
    account.hold(9)
    account.held.remove(5, 7)
    assert list(account.deliverable()) == [(5, 7), (9, 11)]
    assert (account.low_water("aaaaaaaa"), account.unsettled()) == (4, 7)


def test_a_stream_can_begin_at_any_number_and_take_in_older_rows_that_are_found() -> None:
    account = StreamAccount.starting_at(1000, "bbbbbbbb")
    assert (account.unsettled(), account.low_water("bbbbbbbb"), account.ended_epochs()) == (0, 1000, [])
    account.add_rescued(20, 25, "aaaaaaaa")
    account.add_rescued(30, 32, "aaaaaaaa")
    account.add_rescued(7, 9, "00000000")
    assert list(account.deliverable()) == [(7, 9), (20, 25), (30, 32)]
    assert account.ended_epochs() == [("00000000", 9), ("aaaaaaaa", 32)]
    assert [account.epoch_of(number) for number in (8, 20, 31, 500, 1000)] == [
        "00000000",
        "aaaaaaaa",
        "aaaaaaaa",
        "",
        "bbbbbbbb",
    ]
    assert account.span("bbbbbbbb") == (1000, 1000)


def test_a_long_list_of_epochs_forgets_those_that_are_settled() -> None:
    account = StreamAccount([(1, "00000000")])
    for number in range(2, 100):
        account.next = number
        account.settled.add(number - 1, number)
        account.begin_epoch(f"{number:08x}", number)
    assert len(account.epochs) <= 40
    assert account.low_water("00000000") == account.next, "all of a forgotten epoch is settled"
