"""Dates of signed documents, against a clock that may never have been set."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""

EARLY_MS = 86_400_000
"""How far in the future a set clock lets ``issued`` stand: a maintainer's clock may be a little wrong."""
LONGEST_MS = 20 * 366 * 86_400_000
"""How far behind the lower bound ``issued`` may stand while the clock is unset, and ``expires`` behind ``issued``. It
becomes the next lower bound: a slip of the pen by a thousand years must not refuse everything that comes after it."""


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """What a gateway knows of the time, in Unix milliseconds.

    ``clock_ms``: what its clock shows; ``is_set``: whether that can be true (``cq`` above 0); ``bound_ms``: before
    which it cannot be, the latest of the build date, the saved clock and the newest accepted ``issued``.
    """

    clock_ms: int
    is_set: bool
    bound_ms: int

    @property
    def earliest_ms(self) -> int:
        """The time, or with an unset clock the earliest that it can be."""
        return max(self.clock_ms, self.bound_ms) if self.is_set else self.bound_ms


def unix_ms(text: object) -> int | None:
    """A date of RFC 3339; ``None`` where it is none."""
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        return None
    try:
        t_ms = round((datetime.fromisoformat(text) - _EPOCH).total_seconds() * 1000)
    except (ValueError, OverflowError):
        return None
    # An offset can push a date out of the years that can be written.
    return t_ms if _FIRST_MS <= t_ms <= _LAST_MS else None


def rfc_3339(t_ms: int) -> str:
    """A time in UTC, to the second; of one outside the years 1 to 9999, the nearest inside. Raises nothing."""
    moment = _EPOCH + timedelta(seconds=min(max(t_ms, _FIRST_MS), _LAST_MS) // 1000)
    return moment.isoformat().removesuffix("+00:00") + "Z"


def check_dates(issued_ms: int, expires_ms: int, moment: TrustedTime) -> None:
    """Raise :class:`RejectedError`: ``issued`` (it comes from the future) or ``expired``."""
    latest_ms = moment.earliest_ms + (EARLY_MS if moment.is_set else LONGEST_MS)
    if issued_ms > latest_ms or not issued_ms < expires_ms <= issued_ms + LONGEST_MS:
        raise RejectedError(Rejection.ISSUED, _("invalid date: {date}").format(date=rfc_3339(issued_ms)), "issued")
    check_expiry(expires_ms, moment)


def check_expiry(expires_ms: int, moment: TrustedTime, path: str = "expires") -> None:
    """Raise :class:`RejectedError`: ``expired``. To be asked again once the clock is set."""
    if expires_ms <= moment.earliest_ms:
        raise RejectedError(Rejection.EXPIRED, _("expired on {date}").format(date=rfc_3339(expires_ms)), path)
