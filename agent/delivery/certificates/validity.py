"""Checks a gateway's new certificate, and decides when to warn about its expiry. No I/O."""

from dataclasses import dataclass

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import TrustedTime, rfc_3339

DAY_MS = 86_400_000
STEPS = (30, 14, 7, 3, 0)
"""Days before the expiry at which to warn, once each; as an alarm from 3 days on."""
ALARM_DAYS = 3


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The contents of a certificate. ``names``: its common names; ``matches``: whether it belongs to the key created
    for it; times are Unix milliseconds."""

    names: tuple[str, ...]
    matches: bool
    begins_ms: int
    ends_ms: int


def check(facts: CertificateFacts, gateway: str, trusted_time: TrustedTime) -> None:
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
    if facts.ends_ms <= trusted_time.earliest_ms:
        raise RejectedError(Rejection.CERTIFICATE_TIME, _("expired on {date}").format(date=rfc_3339(facts.ends_ms)))
    if trusted_time.is_set and facts.begins_ms > trusted_time.clock_ms:
        raise RejectedError(
            Rejection.CERTIFICATE_TIME, _("not valid before {date}").format(date=rfc_3339(facts.begins_ms))
        )


def days_left(ends_ms: int, now_ms: int) -> int:
    """Return the whole days until the expiry; negative after it."""
    return (ends_ms - now_ms) // DAY_MS


def step(ends_ms: int, now_ms: int) -> int | None:
    """Return the last of :data:`STEPS` reached; ``None`` before the first."""
    reached = [days for days in STEPS if ends_ms - now_ms <= days * DAY_MS]
    return min(reached, default=None)
