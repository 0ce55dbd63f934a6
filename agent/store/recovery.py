"""How a store goes on after its file was damaged, moved, cut off or away: accounts, epochs, rescued rows. Pure."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from agent.base.reading import Row
from agent.store.owed_rows import Owed, by_epoch
from agent.store.stream_account import StreamAccount

Accounts = Mapping[str, StreamAccount]
_MAX_NUMBERS_PER_S = 100


class AsideFile(NamedTuple):
    """A file that was set aside and not read yet. ``epoch``: the one that began then; ``names``: of its streams, by
    their number inside the file."""

    file: str
    epoch: str
    names: Mapping[str, str]


def parse_rescues(text: str) -> list[AsideFile]:
    """The files that wait for the rescue, as a store remembers them; what makes no sense is left out."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    files = []
    for entry in found if isinstance(found, list) else []:
        match entry:
            case {"file": str(file), "epoch": str(epoch), "names": dict(names)}:
                files.append(AsideFile(file, epoch, names))
    return files


def rescues_text(files: list[AsideFile]) -> str:
    """The opposite of :func:`parse_rescues`."""
    return json.dumps([aside._asdict() for aside in files])


def new_epoch_reason(properties: Mapping[str, str], board: str, boot_id: str) -> str:
    """Why a store that is opened begins a new epoch; empty where it does not.

    On another computer, the first one may go on with the same numbers. If the machine went down without a good end, the
    card may have lost what it said it had, and a number could be given twice.
    """
    known, boot = properties.get("board", ""), properties.get("boot", "")
    if board and known and board != known:
        return "other_board"
    if boot and boot != boot_id and properties.get("clean") != "1":
        return "unclean_reboot"
    return ""


def number_beyond(accounts: Accounts, now_ms: int, build_ms: int) -> int:
    """A number that no stream can have reached, where not all accounts are known: more than 100 a second since 1970."""
    seen = max((account.next for account in accounts.values()), default=1)
    return max(now_ms * _MAX_NUMBERS_PER_S // 1000, build_ms * _MAX_NUMBERS_PER_S // 1000, seen)


def continued(accounts: Accounts, epoch: str) -> dict[str, StreamAccount]:
    """Copies whose next numbers are of another epoch."""
    copies = {name: account.copy() for name, account in accounts.items()}
    for account in copies.values():
        account.begin_epoch(epoch, account.next)
    return copies


def released(account: StreamAccount, floor: int) -> StreamAccount:
    """The account with nothing held, since all can be read again. Rows from ``floor`` on that were settled in memory
    never reach the ring."""
    free = account.copy()
    for start, stop in account.settled:
        free.gone.add(max(start, floor), stop)
    for pair in list(free.held):
        free.held.remove(*pair)
    return free


def joined(older: StreamAccount, newer: StreamAccount | None, epoch: str) -> StreamAccount:
    """One account of numbers that were given in the file, and later ones that were given without knowing it."""
    account = older.copy()
    if newer is None:
        account.begin_epoch(epoch, account.next)
        return account
    begin = next(start for start, name in newer.epochs if name)
    account.begin_epoch("", account.next)
    account.epochs += [(start, name) for start, name in newer.epochs if start >= begin]
    account.settled.add(older.next, begin)
    account.gone.add(older.next, begin)
    for own, theirs in ((account.settled, newer.settled), (account.gone, newer.gone)):
        for start, stop in theirs:
            own.add(max(start, begin), stop)
    account.next = newer.next
    return account


def hold_before(accounts: Accounts, epoch: str) -> None:
    """What is owed from before an epoch is held: a rescue may bring it back."""
    for account in accounts.values():
        account.hold(next((start for start, name in account.epochs if name == epoch), 0))


def lost_after_rescue(accounts: Accounts, epoch: str) -> Owed:
    """What is still held from before the epoch that began with a damage, when its rescue has ended."""
    lost: Owed = []
    for name, account in accounts.items():
        stop = next((start for start, began in account.epochs if began == epoch), account.next)
        for start, end in account.held:
            lost += [(name, *part) for part in by_epoch(account, start, min(end, stop))]
    return lost


def recovered_row(account: StreamAccount, row: Row) -> Row | None:
    """A row that was rescued, as it is put back, if its number is owed: then the account has it again."""
    if row.seq in account.held:
        account.held.remove(row.seq, row.seq + 1)
        if row.context.epoch:
            return row
        return row._replace(context=row.context._replace(epoch=account.epoch_of(row.seq)))
    if row.context.epoch and account.epoch_of(row.seq) == "" and row.seq in account.gone:
        account.recovered(row.seq, row.seq + 1, row.context.epoch)
        return row
    return None
