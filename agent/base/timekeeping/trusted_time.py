"""Checks the dates of signed documents against a clock that may never have been set."""

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

MAX_CLOCK_SKEW_MS = 86_400_000
"""How far in the future a set clock accepts ``issued``: a maintainer's clock may be slightly wrong."""
MAX_SPAN_MS = 20 * 366 * 86_400_000
"""How far after the lower bound ``issued`` may be while the clock is unset, and how far ``expires`` may be after
``issued``. ``issued`` becomes the next lower bound: a typo of a thousand years must not make the gateway refuse
everything that follows."""


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """What a gateway knows about the time, in Unix milliseconds.

    ``clock_ms``: its clock's time; ``is_set``: whether that can be true (``cq`` above 0); ``bound_ms``: the earliest
    possible time, which is the latest of the build date, the saved clock and the newest accepted ``issued``.
    """

    clock_ms: int
    is_set: bool
    bound_ms: int

    @property
    def earliest_ms(self) -> int:
        """The time, or the earliest possible time if the clock is unset."""
        return max(self.clock_ms, self.bound_ms) if self.is_set else self.bound_ms


def unix_ms(text: object) -> int | None:
    """Parse an RFC 3339 date; return ``None`` if it is invalid."""
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        return None
    try:
        t_ms = round((datetime.fromisoformat(text) - _EPOCH).total_seconds() * 1000)
    except (ValueError, OverflowError):
        return None
    # An offset can move a date out of the representable years.
    return t_ms if _FIRST_MS <= t_ms <= _LAST_MS else None


def rfc_3339(t_ms: int) -> str:
    """Format a time in UTC, to the second; a time outside the years 1 to 9999 becomes the nearest inside. Raises
    nothing."""
    date = _EPOCH + timedelta(seconds=min(max(t_ms, _FIRST_MS), _LAST_MS) // 1000)
    return date.isoformat().removesuffix("+00:00") + "Z"


def check_dates(issued_ms: int, expires_ms: int, trusted_time: TrustedTime) -> None:
    """Raise :class:`RejectedError` with ``issued`` (a date in the future) or ``expired``."""
    latest_ms = trusted_time.earliest_ms + (MAX_CLOCK_SKEW_MS if trusted_time.is_set else MAX_SPAN_MS)
    if issued_ms > latest_ms or not issued_ms < expires_ms <= issued_ms + MAX_SPAN_MS:
        raise RejectedError(Rejection.ISSUED, _("invalid date: {date}").format(date=rfc_3339(issued_ms)), "issued")
    check_expiry(expires_ms, trusted_time)


def check_expiry(expires_ms: int, trusted_time: TrustedTime, path: str = "expires") -> None:
    """Raise :class:`RejectedError` with ``expired``. Check again once the clock is set."""
    if expires_ms <= trusted_time.earliest_ms:
        raise RejectedError(Rejection.EXPIRED, _("expired on {date}").format(date=rfc_3339(expires_ms)), path)
