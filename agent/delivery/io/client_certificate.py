"""The gateway's own certificate: which pair of certificate and key is shown to the broker, and how a new one comes in.

The configured pair lies where the technician put it, perhaps not to be written here. Renewed ones lie in ``folder``,
each as one file with key and certificate, so that a pair is whole or absent:

- ``request.key``: the key that waits for its certificate;
- ``trial.pem``: a pair that no broker has taken yet;
- ``renewed.pem``: one that a broker has taken.

Pairs are tried in this order, then the configured one. A renewed pair names the configured certificate that it
replaces; where another one lies there now, the technician has put it in later, and it is tried first.
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
from agent.base.trusted_time import TrustedTime
from agent.config.io.credentials import local_file
from agent.config.settings import Broker
from agent.delivery.certificates.validity import Facts, check
from agent.delivery.connection import ConnectionLost, NotReached, Unanswered, WrongVersion
from agent.delivery.io import x509_helper

_log = logging.getLogger(__name__)

_KEY, _TRIAL, _RENEWED, _ENDS = "request.key", "trial.pem", "renewed.pem", "ends"
PROGRAM = helper_process.program(Path(x509_helper.__file__))
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_REPLACES = re.compile(r"replaces ([0-9a-f]{64})\n")
_WRITE_S = 20.0
_PATIENCE = 3
"""Tries of a pair that fail for another reason, before the next one is tried all the same."""
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
    """Files of a certificate and its key. ``name``: of the file in the folder; empty for the configured pair."""

    certificate: Path
    key: Path
    name: str = ""


class ClientCertificate:
    """``folder`` is made when something is to be kept in it; ``program`` is the child that works with certificates.

    ``on_used()`` is called when a pair has connected; ``on_outcome(why)`` when a pair on trial was taken by a
    broker (``why`` empty), or was not and is dropped.
    """

    def __init__(self, folder: Path, program: Sequence[str] = PROGRAM) -> None:
        self._folder = folder
        self._program = program
        self._failures = 0
        self._used: Pair | None = None
        self.on_used: Callable[[], None] = lambda: None
        self.on_outcome: Callable[[str], None] = lambda why: None

    async def connect(self, settings: Broker, url: str, attempt: Callable[[Broker], Awaitable[L]]) -> L:
        """Connect with the first pair that the broker takes. Raises :class:`ConnectionLost` and its kinds."""
        if not settings.cert_file or not url.startswith("mqtts:"):
            return await attempt(settings)
        failed: dict[Pair, ConnectionLost] = {}
        for pair in self._pairs(settings):
            try:
                link = await attempt(replace(settings, cert_file=str(pair.certificate), key_file=str(pair.key)))
            except ConnectionLost as error:
                failed[pair] = error
                self._failures += 1
                if not _may_be_the_pair(error) and self._failures < _PATIENCE:
                    break
                continue
            try:
                self._failures = 0
                await self._connected(pair, failed)
            except BaseException:
                link.drop()
                raise
            return link
        # What says something about the version of MQTT must be heard, or the other one is never tried.
        raise next(
            (one for one in failed.values() if isinstance(one, WrongVersion | Unanswered)), [*failed.values()][-1]
        )

    async def request(self, settings: Broker, gateway: str) -> Mapping[str, str]:
        """Make a key, keep it, and give the request for a certificate: ``csr``, and ``signed``, the same signed by the
        certificate in use. Raises :class:`RejectedError`."""
        if not _is_shown(settings):
            raise RejectedError(Rejection.NO_CERTIFICATE, _("this gateway logs in without a certificate"))
        own = self._in_use(settings)
        answer = await self._ask({"do": "request", "name": gateway, "own": [str(own.certificate), str(own.key)]})
        await self._write(_KEY, answer["key"])
        return {"csr": answer["csr"], "signed": answer["signed"]}

    async def stage(self, settings: Broker, gateway: str, pem: str, moment: TrustedTime) -> int:
        """Take a certificate for the key that was made last, to be tried with the next connection; give its end in Unix
        milliseconds. Raises :class:`RejectedError`."""
        key = self._read(_KEY)
        if not key or not _is_shown(settings):
            raise RejectedError(Rejection.NO_REQUEST, _("no certificate was requested here: start with renew"))
        answer = await self._ask({"do": "look", "certificate": pem, "key": key})
        facts = Facts(tuple(answer["names"]), answer["matches"], answer["begins_ms"], answer["ends_ms"])
        check(facts, gateway, moment)
        replaces = _fingerprint(_text(_configured(settings).certificate))
        await self._write(_TRIAL, f"replaces {replaces}\n{key}{answer['plain']}")
        self._remove(_KEY)
        self._failures = 0
        return facts.ends_ms

    def fingerprint(self, settings: Broker) -> str:
        """Which certificate is in use, or will be tried first; empty where there is none."""
        return _fingerprint(_text(self._in_use(settings).certificate)) if settings.cert_file else ""

    async def ends_ms(self, settings: Broker) -> int:
        """The end of the certificate in use; it is read once for each, and kept. Raises :class:`RejectedError`."""
        text = _text(self._in_use(settings).certificate)
        mark = _fingerprint(text)
        known, _unused, ends = self._read(_ENDS).partition(" ")
        if known == mark and ends.isdecimal():
            return int(ends)
        answer = await self._ask({"do": "look", "certificate": text})
        ends_ms = int(answer["ends_ms"])
        try:
            await self._write(_ENDS, f"{mark} {ends_ms}")
        except RejectedError as error:  # it is only read once more then
            _log.debug("%s", error)
        return ends_ms

    def _in_use(self, settings: Broker) -> Pair:
        pairs = self._pairs(settings)
        return self._used if self._used in pairs else pairs[0]

    def _pairs(self, settings: Broker) -> list[Pair]:
        """In the order in which they are tried."""
        configured = _configured(settings)
        there = _fingerprint(_text(configured.certificate))
        before: list[Pair] = []
        after: list[Pair] = []
        for name in (_TRIAL, _RENEWED):
            text = self._read(name)
            if text:
                path = self._folder / name
                found = _REPLACES.match(text)
                replaced = found is not None and found[1] != there and there != ""
                (after if replaced else before).append(Pair(path, path, name))
        return [*before, configured, *after]

    async def _connected(self, pair: Pair, failed: Mapping[Pair, ConnectionLost]) -> None:
        trial = next((one for one in failed if one.name == _TRIAL), None)
        if pair.name == _TRIAL:
            self._used = await self._promoted(pair)
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

    async def _promoted(self, trial: Pair) -> Pair:
        try:
            await self._write(_RENEWED, self._read(_TRIAL))
        except RejectedError as error:  # then it is on trial once more with the next connection
            _log.warning("%s", error, extra=log_extra(LogCode.CERTIFICATE_DROPPED))
            return trial
        self._remove(_TRIAL)
        return Pair(self._folder / _RENEWED, self._folder / _RENEWED, _RENEWED)

    def _read(self, name: str) -> str:
        return _text(self._folder / name)

    async def _write(self, name: str, text: str) -> None:
        """Durably, readable for this user alone. Raises :class:`RejectedError`."""
        worker = Worker("certificates")  # a card may take seconds
        try:
            await worker.call(lambda: AtomicDirectory(self._folder).write(name, text.encode()), _WRITE_S)
        except (OSError, CallTimeout) as error:
            why = getattr(error, "strerror", None) or _("no answer within {n:.0f} s").format(n=_WRITE_S)
            raise RejectedError(Rejection.NOT_KEPT, _("cannot save the certificate: {why}").format(why=why)) from error
        finally:
            worker.close()

    async def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What the child answers. Raises :class:`RejectedError`."""
        try:
            answer: dict[str, Any] = await helper_process.ask(self._program, question)
        except helper_process.ChildFailed as error:
            if error.status == x509_helper.LIBRARY_MISSING:
                text = _("certificates need the extra updates: pip install 'gardu[updates]'")
                raise RejectedError(LIBRARY_MISSING, text) from error
            if error.status == x509_helper.UNREADABLE:
                raise RejectedError(Rejection.MALFORMED, _("cannot read the certificate or its key")) from error
            raise RejectedError(Rejection.FAILED, str(error)) from error
        return answer

    def _remove(self, name: str) -> None:
        # What cannot be removed is not taken once more, or is tried and dropped again: the connection counts more.
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()


def _may_be_the_pair(error: ConnectionLost) -> bool:
    """Whether a connection may have failed because of the certificate or its key."""
    elsewhere = ssl.SSLCertVerificationError | socket.gaierror | TimeoutError
    if isinstance(error, WrongVersion) or isinstance(error.__cause__, elsewhere):
        return False
    if isinstance(error, NotReached):
        return error.__cause__ is not None and getattr(error.__cause__, "errno", 0) not in _UNREACHED
    return True


def _is_shown(settings: Broker) -> bool:
    """Whether every broker asks for the certificate."""
    return bool(settings.cert_file) and all(url.startswith("mqtts:") for url in settings.urls)


def _configured(settings: Broker) -> Pair:
    return Pair(local_file(settings.cert_file), local_file(settings.key_file or settings.cert_file))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _fingerprint(text: str) -> str:
    """SHA-256 of the first certificate, in hex; empty where there is none."""
    found = _BLOCK.search(text)
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest() if found else ""
    except ValueError:
        return ""
