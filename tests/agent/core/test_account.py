"""Where the numbers of a stream stand, as the agent keeps them."""

import pytest

from agent.core.account import StreamAccount


def test_lo_is_the_lowest_number_that_is_not_settled() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], next_number=11, settled=[(1, 4), (6, 9)])
    assert account.lo("aaaaaaaa") == 4
    account.settled.add(4, 6)
    assert account.lo("aaaaaaaa") == 9
    account.settled.add(9, 11)
    assert account.lo("aaaaaaaa") == 11


def test_what_is_owed_and_what_is_spent() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 11, settled=[(1, 4), (6, 9)], gone=[(1, 3)])
    assert list(account.deliverable()) == [(4, 6), (9, 11)]
    assert account.unsettled() == 4
    assert account.spent() == (3, 4)
    account.gone.add(3, 4)
    assert account.spent() == (6, 9), "delivered rows behind an outage are spent too"
    assert account.first("aaaaaaaa") == 4


def test_each_epoch_has_its_own_account() -> None:
    account = StreamAccount([(1, "aaaaaaaa")], 5, settled=[(1, 3)])
    account.begin_epoch("bbbbbbbb", 5)
    account.next = 8
    assert account.ep == "bbbbbbbb"
    assert (account.lo("aaaaaaaa"), account.lo("bbbbbbbb")) == (3, 5)
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
