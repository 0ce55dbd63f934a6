"""How a store continues after its file was damaged, moved, cut off or deleted: accounts, epochs, rescued rows. No
I/O."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from agent.base.reading import Row
from agent.store.stream_account import StreamAccount
from agent.store.unsettled_rows import RowRanges, split_by_epoch

Accounts = Mapping[str, StreamAccount]
_MAX_NUMBERS_PER_S = 100


class AsideFile(NamedTuple):
    """A file that was set aside and not rescued yet. ``names``: the names of its streams, by their id inside the file;
    ``stops``: the number after the last that it may contain, by stream."""

    file: str
    names: Mapping[str, str]
    stops: Mapping[str, int]


def parse_rescues(text: str) -> list[AsideFile]:
    """Parse the stored list of files waiting for the rescue; invalid entries are ignored."""
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return []
    files = []
    for entry in entries if isinstance(entries, list) else []:
        match entry:
            case {"file": str(file), "names": dict(names), "stops": dict(stops)}:
                files.append(AsideFile(file, names, {name: n for name, n in stops.items() if isinstance(n, int)}))
    return files


def rescues_text(files: list[AsideFile]) -> str:
    """Format the list for :func:`parse_rescues`."""
    return json.dumps([aside._asdict() for aside in files])


def new_epoch_reason(properties: Mapping[str, str], board: str, boot_id: str) -> str:
    """Return why a store begins a new epoch when it is opened; empty if it does not.

    If the store was moved to another computer, the first computer may continue with the same numbers. If the machine
    went down without a clean stop, the card may have lost writes that it confirmed, and a number could be assigned
    twice.
    """
    last_board, boot = properties.get("board", ""), properties.get("boot", "")
    if board and last_board and board != last_board:
        return "other_board"
    if boot and boot != boot_id and properties.get("clean") != "1":
        return "unclean_reboot"
    return ""


def number_beyond(accounts: Accounts, now_ms: int, build_ms: int) -> int:
    """Return a number that no stream can have reached, for when some accounts are unknown: more than 100 a second since
    1970."""
    seen = max((account.next for account in accounts.values()), default=1)
    return max(now_ms * _MAX_NUMBERS_PER_S // 1000, build_ms * _MAX_NUMBERS_PER_S // 1000, seen)


def in_new_epoch(accounts: Accounts, epoch: str) -> dict[str, StreamAccount]:
    """Return copies whose next numbers belong to another epoch."""
    copies = {name: account.copy() for name, account in accounts.items()}
    for account in copies.values():
        account.begin_epoch(epoch, account.next)
    return copies


def without_holds(account: StreamAccount, floor: int) -> StreamAccount:
    """Return the account with nothing held, since everything is readable again. Rows from ``floor`` on that were
    settled in memory are never written to the ring."""
    free = account.copy()
    for start, stop in account.settled:
        free.gone.add(max(start, floor), stop)
    for pair in list(free.held):
        free.held.remove(*pair)
    return free


def merged(older: StreamAccount, newer: StreamAccount | None, epoch: str) -> StreamAccount:
    """Merge the account of the file with a later one whose numbers were assigned without knowing the file."""
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


def hold_for_rescue(accounts: Accounts, aside: AsideFile) -> None:
    """Hold the unsettled rows of a file that was set aside: a rescue may recover them."""
    for name, account in accounts.items():
        account.hold(aside.stops.get(name, 0))


def lost_after_rescue(accounts: Accounts, aside: AsideFile) -> RowRanges:
    """Return the rows of a file that are still held when its rescue ends."""
    lost: RowRanges = []
    for name, account in accounts.items():
        for start, end in account.held:
            lost += [(name, *part) for part in split_by_epoch(account, start, min(end, aside.stops.get(name, 0)))]
    return lost


def rescued_row(account: StreamAccount, row: Row) -> Row | None:
    """Return a rescued row in the form to put back, and update the account, if its number is unsettled; else
    ``None``."""
    if row.seq in account.held:
        account.held.remove(row.seq, row.seq + 1)
        if row.context.epoch:
            return row
        return row._replace(context=row.context._replace(epoch=account.epoch_of(row.seq)))
    if row.context.epoch and account.epoch_of(row.seq) == "" and row.seq in account.gone:
        account.add_rescued(row.seq, row.seq + 1, row.context.epoch)
        return row
    return None
