"""The gateway's own certificate: which pair of certificate and key to show to the broker, and how a new one is
installed.

The configured pair is where the technician put it, which may be read-only. Renewed pairs are in ``folder``, each as one
file with key and certificate, so that a pair is complete or absent:

- ``request.key``: the key that waits for its certificate;
- ``trial.pem``: a pair that no broker has accepted yet;
- ``renewed.pem``: one that a broker has accepted.

Pairs are tried in this order, then the configured one. A renewed pair names the configured certificate that it
replaces; if a different one is configured now, the technician installed it later, and it is tried first.
"""

import contextlib
import errno
import hashlib
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from agent.base.codes import LogCode, Rejection, log_extra
from agent.base.errors import LIBRARY_MISSING, CallTimeout, RejectedError
from agent.base.i18n import _
from agent.base.io import helper_process
from agent.base.io.atomic_files import AtomicDirectory
from agent.base.io.worker import Worker
from agent.base.timekeeping.trusted_time import TrustedTime
from agent.config.io.credentials import local_file
from agent.config.settings import Broker
from agent.delivery.certificates.validity import CertificateFacts, check
from agent.delivery.connection import BrokerUnreachable, ConnectionLost, NoConnack, UnsupportedVersion
from agent.delivery.io import x509_helper

_log = logging.getLogger(__name__)

_KEY, _TRIAL, _RENEWED, _ENDS = "request.key", "trial.pem", "renewed.pem", "ends"
PROGRAM = helper_process.script_command(Path(x509_helper.__file__))
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_REPLACES = re.compile(r"replaces ([0-9a-f]{64})\n")
_WRITE_S = 20.0
_MAX_FAILURES = 3
"""Attempts with a pair that may fail for another reason before the next pair is tried anyway."""
_UNREACHED = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ETIMEDOUT,
    }
)


class Link(Protocol):
    """An open connection."""

    def drop(self) -> None: ...


L = TypeVar("L", bound=Link)


class Pair(NamedTuple):
    """Files of a certificate and its key. ``name``: the file name in the folder; empty for the configured pair."""

    certificate: Path
    key: Path
    name: str = ""


class ClientCertificate:
    """Chooses the certificate pair for a connection. ``folder`` is created when something is stored in it; ``program``
    is the child process that works with certificates.

    ``on_used()`` is called when a pair has connected; ``on_outcome(why)`` when a broker accepted a pair on trial
    (``why`` is empty), or when it was not accepted and is dropped.
    """

    def __init__(self, folder: Path, program: Sequence[str] = PROGRAM) -> None:
        self._folder = folder
        self._program = program
        self._failures = 0
        self._used: Pair | None = None
        self.on_used: Callable[[], None] = lambda: None
        self.on_outcome: Callable[[str], None] = lambda why: None

    async def connect(self, settings: Broker, url: str, attempt: Callable[[Broker], Awaitable[L]]) -> L:
        """Connect with the first pair that the broker accepts. Raises :class:`ConnectionLost` and its subclasses."""
        if not settings.cert_file or not url.startswith("mqtts:"):
            return await attempt(settings)
        failed: dict[Pair, ConnectionLost] = {}
        for pair in self._pairs(settings):
            try:
                link = await attempt(replace(settings, cert_file=str(pair.certificate), key_file=str(pair.key)))
            except ConnectionLost as error:
                failed[pair] = error
                self._failures += 1
                if not _may_be_the_pair(error) and self._failures < _MAX_FAILURES:
                    break
                continue
            try:
                self._failures = 0
                await self._on_connected(pair, failed)
            except BaseException:
                link.drop()
                raise
            return link
        # Prefer errors about the MQTT version: otherwise the other version would never be tried.
        raise next(
            (error for error in failed.values() if isinstance(error, UnsupportedVersion | NoConnack)),
            [*failed.values()][-1],
        )

    async def request(self, settings: Broker, gateway: str) -> Mapping[str, str]:
        """Create and store a key, and return the request for a certificate: ``csr``, and ``signed``, the same signed
        with the certificate in use. Raises :class:`RejectedError`."""
        if not _is_always_used(settings):
            raise RejectedError(Rejection.NO_CERTIFICATE, _("this gateway logs in without a certificate"))
        own = self._in_use(settings)
        pair = [str(own.certificate), str(own.key)]
        answer = await self._query_helper({"do": "request", "name": gateway, "own": pair})
        await self._write(_KEY, answer["key"])
        return {"csr": answer["csr"], "signed": answer["signed"]}

    async def stage(self, settings: Broker, gateway: str, pem: str, trusted_time: TrustedTime) -> int:
        """Store a certificate for the key created last, to be tried with the next connection; return its expiry in Unix
        milliseconds. Raises :class:`RejectedError`."""
        key = self._read(_KEY)
        if not key or not _is_always_used(settings):
            raise RejectedError(Rejection.NO_REQUEST, _("no certificate was requested here: start with renew"))
        answer = await self._query_helper({"do": "inspect", "certificate": pem, "key": key})
        facts = CertificateFacts(tuple(answer["names"]), answer["matches"], answer["begins_ms"], answer["ends_ms"])
        check(facts, gateway, trusted_time)
        replaces = _fingerprint(_text(_configured(settings).certificate))
        await self._write(_TRIAL, f"replaces {replaces}\n{key}{answer['plain']}")
        self._remove(_KEY)
        self._failures = 0
        return facts.ends_ms

    def fingerprint(self, settings: Broker) -> str:
        """Return the fingerprint of the certificate in use, or to be tried first; empty if there is none."""
        return _fingerprint(_text(self._in_use(settings).certificate)) if settings.cert_file else ""

    async def ends_ms(self, settings: Broker) -> int:
        """Return the expiry of the certificate in use, which is read once and cached. Raises :class:`RejectedError`."""
        text = _text(self._in_use(settings).certificate)
        mark = _fingerprint(text)
        cached_mark, _unused, ends = self._read(_ENDS).partition(" ")
        if cached_mark == mark and ends.isdecimal():
            return int(ends)
        answer = await self._query_helper({"do": "inspect", "certificate": text})
        ends_ms = int(answer["ends_ms"])
        try:
            await self._write(_ENDS, f"{mark} {ends_ms}")
        except RejectedError as error:  # then it is read once more next time
            _log.debug("%s", error)
        return ends_ms

    def _in_use(self, settings: Broker) -> Pair:
        pairs = self._pairs(settings)
        return self._used if self._used in pairs else pairs[0]

    def _pairs(self, settings: Broker) -> list[Pair]:
        """Return the pairs in the order in which to try them."""
        configured = _configured(settings)
        current = _fingerprint(_text(configured.certificate))
        before: list[Pair] = []
        after: list[Pair] = []
        for name in (_TRIAL, _RENEWED):
            text = self._read(name)
            if text:
                path = self._folder / name
                match = _REPLACES.match(text)
                replaced = match is not None and match[1] != current and current != ""
                (after if replaced else before).append(Pair(path, path, name))
        return [*before, configured, *after]

    async def _on_connected(self, pair: Pair, failed: Mapping[Pair, ConnectionLost]) -> None:
        trial = next((failed_pair for failed_pair in failed if failed_pair.name == _TRIAL), None)
        if pair.name == _TRIAL:
            self._used = await self._promote(pair)
            _log.info(_("using the new certificate"))
            self.on_outcome("")
        else:
            self._used = pair
            if trial is not None:
                self._remove(_TRIAL)
                _log.warning(
                    _("dropped the new certificate: {why}").format(why=failed[trial]),
                    extra=log_extra(LogCode.CERTIFICATE_DROPPED),
                )
                self.on_outcome(str(failed[trial]))
        self.on_used()

    async def _promote(self, trial: Pair) -> Pair:
        try:
            await self._write(_RENEWED, self._read(_TRIAL))
        except RejectedError as error:  # then it is tried again with the next connection
            _log.warning("%s", error, extra=log_extra(LogCode.CERTIFICATE_DROPPED))
            return trial
        self._remove(_TRIAL)
        return Pair(self._folder / _RENEWED, self._folder / _RENEWED, _RENEWED)

    def _read(self, name: str) -> str:
        return _text(self._folder / name)

    async def _write(self, name: str, text: str) -> None:
        """Write durably, readable by this user only. Raises :class:`RejectedError`."""
        worker = Worker("certificates")  # an SD card may take seconds
        try:
            await worker.call(lambda: AtomicDirectory(self._folder).write(name, text.encode()), _WRITE_S)
        except (OSError, CallTimeout) as error:
            why = getattr(error, "strerror", None) or _("no answer within {n:.0f} s").format(n=_WRITE_S)
            raise RejectedError(Rejection.NOT_SAVED, _("cannot save the certificate: {why}").format(why=why)) from error
        finally:
            worker.close()

    async def _query_helper(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the helper's answer. Raises :class:`RejectedError`."""
        try:
            answer: dict[str, Any] = await helper_process.query(self._program, request)
        except helper_process.HelperFailed as error:
            if error.status == x509_helper.LIBRARY_MISSING:
                text = _("certificates need the extra updates: pip install 'gardu[updates]'")
                raise RejectedError(LIBRARY_MISSING, text) from error
            if error.status == x509_helper.UNREADABLE:
                raise RejectedError(Rejection.MALFORMED, _("cannot read the certificate or its key")) from error
            raise RejectedError(Rejection.FAILED, str(error)) from error
        return answer

    def _remove(self, name: str) -> None:
        # A leftover file is ignored, or tried and dropped again: the connection matters more.
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()


def _may_be_the_pair(error: ConnectionLost) -> bool:
    """Return whether a connection may have failed because of the certificate or its key."""
    elsewhere = ssl.SSLCertVerificationError | socket.gaierror | TimeoutError
    if isinstance(error, UnsupportedVersion) or isinstance(error.__cause__, elsewhere):
        return False
    if isinstance(error, BrokerUnreachable):
        return error.__cause__ is not None and getattr(error.__cause__, "errno", 0) not in _UNREACHED
    return True


def _is_always_used(settings: Broker) -> bool:
    """Return whether every broker asks for the certificate."""
    return bool(settings.cert_file) and all(url.startswith("mqtts:") for url in settings.urls)


def _configured(settings: Broker) -> Pair:
    return Pair(local_file(settings.cert_file), local_file(settings.key_file or settings.cert_file))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _fingerprint(text: str) -> str:
    """Return the SHA-256 of the first certificate, in hex; empty if there is none."""
    match = _BLOCK.search(text)
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(match[0])).hexdigest() if match else ""
    except ValueError:
        return ""
