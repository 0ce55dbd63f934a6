"""What the store's thread has to say of its files, and the log line for it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.i18n import _
from agent.store.stream_account import StreamAccount


@dataclass(frozen=True, slots=True)
class News:
    """What happened: ``kind`` is ``reset`` (a new epoch; ``why``), ``replaced`` (the file is back in its place),
    ``durable`` (the disk takes rows again) or ``changed`` (accounts only). ``accounts``: copies, as they are now."""

    kind: str
    why: str
    detail: str
    epoch: str
    accounts: Mapping[str, StreamAccount]

    @property
    def before(self) -> Sequence[tuple[str, str, int]]:
        """The newest ended epoch of each stream that still owes rows: stream, epoch, the number after its last."""
        return [(name, *ended) for name, account in self.accounts.items() for ended in account.before()[-1:]]


def line_and_code(news: News, folder: Path) -> tuple[str, str]:
    """The log line for a new epoch or a file that was put back, and its code."""
    if news.why == "damaged":
        return _("the store is damaged ({error}); set it aside and created a new one").format(
            error=news.detail
        ), "store_damaged"
    if news.why == "not_durable":
        line = _("cannot write to the store ({error}); holding readings in memory").format(error=news.detail)
        return line, "store_write_failed"
    if news.why == "missing":
        return _("the store in {place} is missing or empty; created a new one").format(place=folder), "store_missing"
    if news.why == "replaced":
        return _("the store in {place} was deleted or replaced; restored it").format(place=folder), "store_replaced"
    if news.why == "unclean_reboot":
        return _("the last run did not stop cleanly; starting a new epoch"), "unclean_reboot"
    return _("the store was moved to another computer; starting a new epoch"), "other_board"
