"""The gateway's certificate over its life: asked for anew, tried, kept or dropped; and how long it still lasts."""

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
from agent.base.trusted_time import TrustedTime
from agent.config.settings import Broker
from agent.delivery.certificates import validity

_log = logging.getLogger(__name__)

_FIRST_LOOK_S = 60.0
"""A start is not held up by it: it is looked at after the first connection, or then."""
_LOOK_S = 60.0
_AGAIN_S = 3600.0
_TOLD = "validity.told"


class Certificates(Protocol):
    """What there is to show to the broker."""

    on_used: Callable[[], None]
    on_outcome: Callable[[str], None]

    async def request(self, settings: Broker, gateway: str) -> Mapping[str, str]: ...
    async def stage(self, settings: Broker, gateway: str, pem: str, moment: TrustedTime) -> int: ...
    def fingerprint(self, settings: Broker) -> str: ...
    async def ends_ms(self, settings: Broker) -> int: ...


class Store(Protocol):
    """What is kept of it, and where it is told."""

    def announce(self, row: Mapping[str, object]) -> None: ...
    def remember(self, name: str, value: str) -> None: ...
    def recall(self, name: str) -> str: ...


class Renewal:
    """``reconnect`` begins a new connection at once. ``bound_ms``: before which no true clock can stand."""

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
        self._looked = asyncio.Event()
        self._waiting: asyncio.Future[str] | None = None
        self._fingerprint = ""
        self._told = ""
        self._look_from_s = 0.0
        self.ends_ms: int | None = None
        """The end of the certificate in use, in Unix milliseconds; ``None`` where it is not known."""
        certificates.on_used = self._looked.set
        certificates.on_outcome = self._outcome

    def use(self, settings: Broker, gateway: str) -> None:
        """Take the settings of another configuration."""
        self._settings, self._gateway = settings, gateway

    async def request(self) -> Mapping[str, str]:
        """Make a key and the request for its certificate. Raises :class:`RejectedError`."""
        assert self._settings is not None
        return await self._certificates.request(self._settings, self._gateway)

    async def install(self, pem: str) -> int:
        """Try this certificate; give its end once a broker has taken it. Raises :class:`RejectedError`, also where none
        took it: then the one before is in use again."""
        assert self._settings is not None
        now = self._now()
        moment = TrustedTime(now.t, now.clock_quality > 0, self._bound_ms)
        ends_ms = await self._certificates.stage(self._settings, self._gateway, pem, moment)
        self._waiting = asyncio.get_running_loop().create_future()
        self._reconnect()
        why = await self._waiting
        if why:
            raise RejectedError(Rejection.NOT_TAKEN, why)
        return ends_ms

    def status(self) -> CertificateStatus:
        """How the certificate in use is."""
        now = self._now()
        left_s = None if self.ends_ms is None or now.clock_quality == 0 else (self.ends_ms - now.t) // 1000
        return CertificateStatus(self.ends_ms, left_s)

    async def watch(self) -> None:
        """Look at the certificate in use, and tell when its end comes near; for ever."""
        wait_s = _FIRST_LOOK_S
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._looked.wait()
            except TimeoutError:
                pass
            wait_s = _LOOK_S
            self._looked.clear()
            await self._look()
            self._warn()

    async def _look(self) -> None:
        assert self._settings is not None
        fingerprint = self._certificates.fingerprint(self._settings)
        now_s = asyncio.get_running_loop().time()
        if fingerprint == self._fingerprint or now_s < self._look_from_s:
            return
        ends_ms = None
        if fingerprint:
            try:
                ends_ms = await self._certificates.ends_ms(self._settings)
            except RejectedError as error:
                self._look_from_s = now_s + _AGAIN_S
                if str(error) != self._told:
                    self._told = str(error)
                    _log.warning(
                        _("cannot determine when the certificate expires: {why}").format(why=error),
                        extra=log_extra(LogCode.CERTIFICATE_UNREADABLE),
                    )
        self._fingerprint = fingerprint if ends_ms is not None else ""
        self.ends_ms = ends_ms

    def _warn(self) -> None:
        """Tell each step once for each certificate, over restarts too."""
        now = self._now()
        if self.ends_ms is None or now.clock_quality == 0:
            return
        step = validity.step(self.ends_ms, now.t)
        if step is None:
            return
        fingerprint, told = self._told_before()
        if fingerprint == self._fingerprint and told <= step:
            return
        self._store.remember(_TOLD, json.dumps([self._fingerprint, step]))
        days = validity.days_left(self.ends_ms, now.t)
        self._store.announce(events.certificate_expires(days, step <= validity.ALARM_DAYS))
        _log.warning(
            _("this gateway's certificate expires soon (days left: {days}): run gardu cert renew").format(days=days),
            extra=log_extra(LogCode.CERTIFICATE_EXPIRES),
        )

    def _told_before(self) -> tuple[str, int]:
        try:
            fingerprint, step = json.loads(self._store.recall(_TOLD) or "[]")
            return str(fingerprint), int(step)
        except (ValueError, TypeError):
            return "", 0

    def _outcome(self, why: str) -> None:
        row = events.certificate_refused(why) if why else events.certificate_renewed()
        self._store.announce(row)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(why)
