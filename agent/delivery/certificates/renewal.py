"""The life of the gateway's certificate: requested, tried, kept or dropped; and how long it remains valid."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.base import events
from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.reading import Stamp
from agent.base.status import CertificateStatus
from agent.base.timekeeping.trusted_time import TrustedTime
from agent.config.settings import Broker
from agent.delivery.certificates import validity

_log = logging.getLogger(__name__)

_FIRST_CHECK_S = 60.0
"""The first check waits for the first connection, or for this long, so that it does not delay the start."""
_CHECK_S = 60.0
_RETRY_S = 3600.0
_WARNED_KEY = "validity.told"


class Certificates(Protocol):
    """The certificates available for the broker."""

    on_used: Callable[[], None]
    on_outcome: Callable[[str], None]

    async def request(self, settings: Broker, gateway: str) -> Mapping[str, str]: ...
    async def stage(self, settings: Broker, gateway: str, pem: str, trusted_time: TrustedTime) -> int: ...
    def fingerprint(self, settings: Broker) -> str: ...
    async def ends_ms(self, settings: Broker) -> int: ...


class Store(Protocol):
    """Stores what was reported, and publishes events."""

    def announce(self, row: Mapping[str, object]) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class Renewal:
    """Renews the certificate. ``reconnect`` starts a new connection at once. ``bound_ms``: no correct clock can be
    earlier than this."""

    def __init__(
        self,
        certificates: Certificates,
        store: Store,
        now: Callable[[], Stamp],
        bound_ms: int,
        reconnect: Callable[[], None],
    ) -> None:
        self._certificates = certificates
        self._store = store
        self._now = now
        self._bound_ms = bound_ms
        self._reconnect = reconnect
        self._settings: Broker | None = None
        self._gateway = ""
        self._check_now = asyncio.Event()
        self._pending_outcome: asyncio.Future[str] | None = None
        self._fingerprint = ""
        self._last_logged = ""
        self._retry_from_s = 0.0
        self.ends_ms: int | None = None
        """The expiry of the certificate in use, in Unix milliseconds; ``None`` if unknown."""
        certificates.on_used = self._check_now.set
        certificates.on_outcome = self._on_outcome

    def use(self, settings: Broker, gateway: str) -> None:
        """Use the settings of another configuration."""
        self._settings, self._gateway = settings, gateway

    async def request(self) -> Mapping[str, str]:
        """Create a key and the request for its certificate. Raises :class:`RejectedError`."""
        assert self._settings is not None
        return await self._certificates.request(self._settings, self._gateway)

    async def install(self, pem: str) -> int:
        """Try this certificate; return its expiry once a broker has accepted it. Raises :class:`RejectedError`, also if
        no broker accepted it: then the previous one is in use again."""
        assert self._settings is not None
        now = self._now()
        trusted_time = TrustedTime(now.t, now.clock_quality > 0, self._bound_ms)
        ends_ms = await self._certificates.stage(self._settings, self._gateway, pem, trusted_time)
        self._pending_outcome = asyncio.get_running_loop().create_future()
        self._reconnect()
        why = await self._pending_outcome
        if why:
            raise RejectedError(Rejection.NOT_ACCEPTED, why)
        return ends_ms

    def status(self) -> CertificateStatus:
        """Return the status of the certificate in use."""
        now = self._now()
        remaining_s = None if self.ends_ms is None or now.clock_quality == 0 else (self.ends_ms - now.t) // 1000
        return CertificateStatus(self.ends_ms, remaining_s)

    async def watch(self) -> None:
        """Check the certificate in use, and warn before it expires; runs forever."""
        wait_s = _FIRST_CHECK_S
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._check_now.wait()
            except TimeoutError:
                pass
            wait_s = _CHECK_S
            self._check_now.clear()
            await self._check()
            self._warn()

    async def _check(self) -> None:
        assert self._settings is not None
        fingerprint = self._certificates.fingerprint(self._settings)
        now_s = asyncio.get_running_loop().time()
        if fingerprint == self._fingerprint or now_s < self._retry_from_s:
            return
        ends_ms = None
        if fingerprint:
            try:
                ends_ms = await self._certificates.ends_ms(self._settings)
            except RejectedError as error:
                self._retry_from_s = now_s + _RETRY_S
                if str(error) != self._last_logged:
                    self._last_logged = str(error)
                    _log.warning(
                        _("cannot determine when the certificate expires: {why}").format(why=error),
                        extra=log_extra(LogCode.CERTIFICATE_UNREADABLE),
                    )
        self._fingerprint = fingerprint if ends_ms is not None else ""
        self.ends_ms = ends_ms

    def _warn(self) -> None:
        """Warn once for each step of each certificate, across restarts."""
        now = self._now()
        if self.ends_ms is None or now.clock_quality == 0:
            return
        step = validity.step(self.ends_ms, now.t)
        if step is None:
            return
        fingerprint, warned_step = self._last_warning()
        if fingerprint == self._fingerprint and warned_step <= step:
            return
        self._store.remember(_WARNED_KEY, json.dumps([self._fingerprint, step]))
        days = validity.days_left(self.ends_ms, now.t)
        self._store.announce(events.certificate_expires(days, step <= validity.ALARM_DAYS))
        _log.warning(
            _("this gateway's certificate expires soon (days left: {days}): run gardu cert renew").format(days=days),
            extra=log_extra(LogCode.CERTIFICATE_EXPIRES),
        )

    def _last_warning(self) -> tuple[str, int]:
        try:
            fingerprint, step = json.loads(self._store.recall(_WARNED_KEY) or "[]")
            return str(fingerprint), int(step)
        except (ValueError, TypeError):
            return "", 0

    def _on_outcome(self, why: str) -> None:
        row = events.certificate_refused(why) if why else events.certificate_renewed()
        self._store.announce(row)
        if self._pending_outcome is not None and not self._pending_outcome.done():
            self._pending_outcome.set_result(why)
