"""What a commit has done to the accounts, and what the uplink is told of it."""

from agent.base.reading import CommittedRange
from agent.store.commit import Commit
from agent.store.stream_account import StreamAccount
from tests.agent.store.store_fakes import DOOR, NOW, OWN, A, B, reading


def test_numbers_that_were_given_are_in_the_accounts_afterwards() -> None:
    accounts = {A: StreamAccount([(1, "aaaaaaaa")], 4)}
    commit = Commit([], NOW, "", assigned={A: (4, 6), B: (1, 3), DOOR: (10, 11)})
    commit.apply_to(accounts, "bbbbbbbb")
    assert {name: account.next for name, account in accounts.items()} == {A: 6, B: 3, DOOR: 11}
    assert accounts[DOOR].epochs == [(1, ""), (10, "bbbbbbbb")]
    Commit([], NOW, "", assigned={A: (4, 5)}).apply_to(accounts, "bbbbbbbb")
    assert accounts[A].next == 6, "the account may know more already"


def test_what_has_left_is_settled_and_gone() -> None:
    accounts = {A: StreamAccount([(1, "aaaaaaaa")], 9)}
    Commit([], NOW, "", gone=[(A, 2, 4)]).apply_to(accounts, "aaaaaaaa")
    assert (list(accounts[A].settled), list(accounts[A].gone)) == ([(2, 4)], [(2, 4)])


def test_the_uplink_is_told_the_oldest_reading_of_each_stream_and_what_is_urgent() -> None:
    readings = [reading(A, 100), reading(A, 200), reading(DOOR, 300, urgent=True)]
    commit = Commit(readings, NOW, "", assigned={A: (1, 3), DOOR: (5, 6), OWN: (7, 8)})
    assert commit.committed_ranges() == {
        A: CommittedRange(1, 3, 100, False),
        DOOR: CommittedRange(5, 6, 300, True),
        OWN: CommittedRange(7, 8, NOW.mono_ms, False),
    }


def test_the_event_about_rows_that_were_shed_is_urgent() -> None:
    commit = Commit([], NOW, "", assigned={OWN: (7, 8)}, shed=[(A, 1, 2)])
    assert commit.committed_ranges()[OWN].urgent


def test_a_commit_that_is_undone_has_done_nothing() -> None:
    commit = Commit([], NOW, "", [(B, 1, 2)], assigned={A: (1, 2)}, shed=[(A, 1, 2)], gone=[(DOOR, 1, 2)])
    assert commit.changed_streams() == {A, B, DOOR}
    commit.clear_result()
    assert (commit.assigned, commit.shed, commit.gone) == ({}, [], [])
    assert commit.changed_streams() == {B}
