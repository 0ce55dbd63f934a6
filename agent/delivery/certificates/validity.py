"""A gateway's certificate: whether a new one is right, and when the end of one is to be told. Pure."""

from dataclasses import dataclass

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.trusted_time import TrustedTime, rfc_3339

DAY_MS = 86_400_000
STEPS = (30, 14, 7, 3, 0)
"""Days before the end at which it is told, each once; from 3 on as an alarm."""
ALARM_DAYS = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says. ``names``: its common names; ``matches``: whether its key is the one that was made for
    it; times in Unix milliseconds."""

    names: tuple[str, ...]
    matches: bool
    begins_ms: int
    ends_ms: int


def check(facts: Facts, gateway: str, moment: TrustedTime) -> None:
    """Raise :class:`RejectedError` for a certificate that this gateway cannot use: ``certificate_key``,
    ``certificate_name``, ``certificate_time``."""
    if not facts.matches:
        raise RejectedError(
            Rejection.CERTIFICATE_KEY, _("this certificate does not belong to the key that was created here")
        )
    if facts.names != (gateway,):
        names = ", ".join(facts.names)[:200]
        raise RejectedError(
            Rejection.CERTIFICATE_NAME,
            _("this certificate is for {names}, not for {gateway}").format(names=names, gateway=gateway),
        )
    if facts.ends_ms <= moment.earliest_ms:
        raise RejectedError(Rejection.CERTIFICATE_TIME, _("expired on {date}").format(date=rfc_3339(facts.ends_ms)))
    if moment.is_set and facts.begins_ms > moment.clock_ms:
        raise RejectedError(
            Rejection.CERTIFICATE_TIME, _("not valid before {date}").format(date=rfc_3339(facts.begins_ms))
        )


def days_left(ends_ms: int, now_ms: int) -> int:
    """Whole days until the end; below 0 after it."""
    return (ends_ms - now_ms) // DAY_MS


def step(ends_ms: int, now_ms: int) -> int | None:
    """The last of :data:`STEPS` that was reached; ``None`` before the first."""
    reached = [one for one in STEPS if ends_ms - now_ms <= one * DAY_MS]
    return min(reached, default=None)
