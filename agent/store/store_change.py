"""What the store's thread reports about its files, and the log line for it. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.i18n import _
from agent.store.stream_account import StreamAccount


@dataclass(frozen=True, slots=True)
class StoreChange:
    """A change: ``kind`` is ``reset`` (a new epoch, see ``why``), ``replaced`` (the file was restored), ``durable``
    (the disk can be written again) or ``changed`` (accounts only). ``accounts``: copies of the current accounts."""

    kind: str
    why: str
    detail: str
    epoch: str
    accounts: Mapping[str, StreamAccount]

    @property
    def before(self) -> Sequence[tuple[str, str, int]]:
        """The newest ended epoch of each stream with unsettled rows: stream, epoch, the number after its last."""
        return [(name, *ended) for name, account in self.accounts.items() for ended in account.ended_epochs()[-1:]]


def log_line_and_code(change: StoreChange, folder: Path) -> tuple[str, str]:
    """Return the log line for a new epoch or a restored file, and its code."""
    if change.why == "damaged":
        return _("the store is damaged ({error}); set it aside and created a new one").format(
            error=change.detail
        ), "store_damaged"
    if change.why == "not_durable":
        line = _("cannot write to the store ({error}); holding readings in memory").format(error=change.detail)
        return line, "store_write_failed"
    if change.why == "missing":
        return _("the store in {place} is missing or empty; created a new one").format(place=folder), "store_missing"
    if change.why == "replaced":
        return _("the store in {place} was deleted or replaced; restored it").format(place=folder), "store_replaced"
    if change.why == "unclean_reboot":
        return _("the last run did not stop cleanly; starting a new epoch"), "unclean_reboot"
    return _("the store was moved to another computer; starting a new epoch"), "other_board"
