"""Text format of a stream's account in the store's file. No I/O."""

from collections.abc import Iterable

from agent.store.format.row_key import SEQ_BITS
from agent.store.stream_account import StreamAccount


def ranges_text(pairs: Iterable[tuple[int, int]]) -> str:
    """Format ranges for the file."""
    return " ".join(f"{start}-{stop}" for start, stop in pairs)


def parse_ranges(text: str) -> list[tuple[int, int]]:
    """Parse ranges. Raises :class:`ValueError`."""
    return [(int(start), int(stop)) for start, _, stop in (part.partition("-") for part in text.split())]


def account_columns(account: StreamAccount) -> tuple[int, str, str, str]:
    """Return the columns of an account: the next number; epochs, settled and gone as text."""
    epochs = " ".join(f"{start}:{epoch}" for start, epoch in account.epochs)
    return account.next, epochs, ranges_text(account.settled), ranges_text(account.gone)


def parse_account(following: int, epochs: str, settled: str, gone: str) -> StreamAccount:
    """Parse an account from its columns. Raises :class:`ValueError` if they are invalid."""
    starts = [(int(start), epoch) for start, _, epoch in (part.partition(":") for part in epochs.split())]
    account = StreamAccount(starts, following, parse_ranges(settled), parse_ranges(gone))
    numbers = [start for start, _ in starts]
    ranges = [number for members in (account.settled, account.gone) for pair in members for number in pair]
    if not starts or numbers != sorted(set(numbers)) or min(ranges, default=1) < 1:
        raise ValueError(epochs)
    if not max(numbers[-1], *ranges, 1) <= following < 1 << SEQ_BITS:
        raise ValueError(following)
    return account
