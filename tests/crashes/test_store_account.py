"""The checker itself: each kind of fault is planted once, and must be found."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.base.events import rows_lost
from agent.base.reading import packed
from tests.crashes.cuts import fast_folder
from tests.crashes.filesystem import write_image
from tests.crashes.store_account import OWN, Key, Reopened, StoreAccount, judge, reopen
from tests.crashes.store_cuts import Recorder, boot_id


@pytest.fixture(scope="module")
def recorded(library: Path) -> tuple[StoreAccount, Reopened]:
    """A store that stopped and was opened again: its account, and what was found."""
    recording = Recorder(library).record("append")
    account = recording.final_account()
    with fast_folder() as folder:
        write_image(recording.after, folder)
        return account, reopen(folder, boot_id(2), (), account.retained())


def owed(account: StoreAccount) -> list[Key]:
    """Rows that must be there, of one stream."""
    keys = [key for key in account.accepted if account.is_owed(*key)]
    return [key for key in keys if key[0] == keys[0][0] != OWN]


def lose(account: StoreAccount, found: Reopened) -> None:
    del found.rows[owed(account)[0]]


def double(account: StoreAccount, found: Reopened) -> None:
    key = owed(account)[0]
    found.rows[key[0], 9999] = found.rows[key]._replace(seq=9999)


def invent(account: StoreAccount, found: Reopened) -> None:
    key = owed(account)[0]
    found.rows[key[0], 9999] = found.rows[key]._replace(seq=9999, body=packed({"n": "invented"}))


def reorder(account: StoreAccount, found: Reopened) -> None:
    first, second, *_ = owed(account)
    one, other = found.rows[first], found.rows[second]
    found.rows[first], found.rows[second] = other._replace(seq=one.seq), one._replace(seq=other.seq)


def alter(account: StoreAccount, found: Reopened) -> None:
    key = owed(account)[0]
    found.rows[key] = found.rows[key]._replace(t=found.rows[key].t + 1)


def number_twice(account: StoreAccount, found: Reopened) -> None:
    stream, epoch, number = next(iter(account.published))
    found.new.append((stream, epoch, number, b"another"))


def damage(account: StoreAccount, found: Reopened) -> None:
    found.integrity = "wrong # of entries in index"


def set_aside(account: StoreAccount, found: Reopened) -> None:
    found.damage = "a row is missing"


def give_up(account: StoreAccount, found: Reopened) -> None:
    stream, number = owed(account)[0]
    found.lost.append((stream, found.rows[stream, number].context.epoch, number, number + 1))


def report_wrongly(account: StoreAccount, found: Reopened) -> None:
    stream, number = owed(account)[0]
    epoch = found.rows[stream, number].context.epoch
    account.events.add(packed(rows_lost(stream, epoch, number, number + 1, "memory")))


PLANTED: dict[Callable[[StoreAccount, Reopened], None], str] = {
    lose: "lost",
    double: "twice",
    invent: "invented",
    reorder: "altered",
    alter: "altered",
    number_twice: "numbered twice",
    damage: "corrupt",
    set_aside: "corrupt",
    give_up: "lost",
    report_wrongly: "wrongly reported",
}


def test_nothing_is_wrong_with_a_store_that_stopped(recorded: tuple[StoreAccount, Reopened]) -> None:
    account, found = recorded
    assert judge(account, found) == []
    assert len(owed(account)) >= 2


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(
    recorded: tuple[StoreAccount, Reopened], plant: Callable[[StoreAccount, Reopened], None]
) -> None:
    account, found = copy.deepcopy(recorded)
    plant(account, found)
    assert PLANTED[plant] in {fault.partition(":")[0] for fault in judge(account, found)}


def test_a_loss_that_was_reported_is_none(recorded: tuple[StoreAccount, Reopened]) -> None:
    account, found = copy.deepcopy(recorded)
    stream, number = owed(account)[0]
    epoch = found.rows.pop((stream, number)).context.epoch
    account.events.add(packed(rows_lost(stream, epoch, number, number + 1, "overflow")))
    assert judge(account, found) == []
