"""One change to many gateways: what is sent to each, and how far it has come there. Pure.

Versions come from what maintainers signed, never from what a gateway says: one that is stolen moves nobody.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.config.document import Document, encode_document, parse_document
from agent.config.layers import Tables
from agent.fleet.reports import ReportedGateway
from agent.update.signed.dsse import CONFIG_TYPE, Envelope, parse, pre_authentication, table, written

Sign = Callable[[bytes], Mapping[bytes, bytes]]
"""The signatures of a message, by public key."""
Recognise = Callable[[Envelope], bool]
"""Whether maintainers have signed an envelope."""
_OWN_CAUSES = ("rollback", "jump")
"""Refusals that are about the gateway's own record of versions, and say nothing of the configuration."""


def signed_document(message: bytes, gateway: str, recognise: Recognise) -> Document | None:
    """The configuration that maintainers signed for this gateway; ``None`` where a message is nothing of the kind."""
    try:
        found = parse(message)
        if found.payload_type != CONFIG_TYPE or not recognise(found):
            return None
        document = parse_document(found.payload)
    except RejectedError:
        return None
    return document if gateway in document.gateways else None


@dataclass(frozen=True, slots=True)
class RolloutTarget:
    """What shall run on one gateway. ``lasts_ms``: how long it may be accepted."""

    gateway: str
    config: Tables
    confirm_s: float
    lasts_ms: int

    def payload(self, version: int, now_ms: int) -> bytes:
        """The document to sign. Raises :class:`RejectedError` and :class:`TypeError`, as
        :func:`~agent.config.document.encode_document` does."""
        until_ms = now_ms + self.lasts_ms
        return encode_document(self.config, [self.gateway], version, now_ms, until_ms, self.confirm_s)


@dataclass(frozen=True, slots=True)
class RolloutMessage:
    """A message for one gateway. ``before``: what its ``config/reported`` was when the message was decided on;
    ``done``: it runs there, confirmed."""

    gateway: str
    version: int
    hash: str
    message: bytes
    before: bytes
    done: bool = False


def standing(wanted: RolloutTarget, at: ReportedGateway, sign: Sign, now_ms: int) -> RolloutMessage | None:
    """The order that stands retained at the gateway, if it says just this, bears our signatures, and can still lead to
    something: so that a change that was interrupted goes on, and nothing is done twice."""
    try:
        found = parse(at.desired)
        document = parse_document(found.payload)
    except RejectedError:
        return None
    if found.payload_type != CONFIG_TYPE or not _says(document, wanted):
        return None
    if not set(sign(found.signed).values()) <= set(found.signatures):
        return None
    report = at.report
    ours = (document.version, document.hash)
    if report is not None and report.running == ours and report.state in ("confirmed", "rejected"):
        # Rejected was something else then, and later.
        return RolloutMessage(at.name, *ours, at.desired, at.reported, done=True)
    if report is None or report.state in ("rejected", "rolled_back") or document.expires_ms <= now_ms:
        return None
    if report.version > document.version or (report.version == document.version and report.hash != document.hash):
        return None
    return RolloutMessage(at.name, *ours, at.desired, at.reported)


def order(
    wanted: RolloutTarget, at: ReportedGateway, version: int, sign: Sign, now_ms: int, signed: int = 0
) -> RolloutMessage:
    """A new order. ``signed``: the version that maintainers signed for this gateway before. Raises
    :class:`RejectedError` where the gateway would not take this version."""
    if version <= signed:
        raise RejectedError(
            Rejection.ROLLBACK, _("already has version {mark}; --version must be higher").format(mark=signed)
        )
    payload = wanted.payload(version, now_ms)
    message = written(table(CONFIG_TYPE, payload, sign(pre_authentication(CONFIG_TYPE, payload))))
    parse(message)
    return RolloutMessage(at.name, version, parse_document(payload).hash, message, at.reported)


def next_version(signed: Collection[int], kept: Collection[RolloutMessage], floor: int = 0) -> int:
    """The version for the gateways that need a new order: one above all that were signed for them and the ``floor`` of
    the root, and at least that of the orders that are kept, so that a change that goes on has one version wherever it
    can."""
    return max(1 + max(signed, default=0), 1 + floor, max((one.version for one in kept), default=1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far one gateway is. ``why``: one line, where it failed; ``alone``: that says nothing of the others."""

    state: Literal["waiting", "confirmed", "failed"]
    why: str = ""
    alone: bool = False


_WAITING = Verdict("waiting")


def judge(order: RolloutMessage, at: ReportedGateway) -> Verdict:
    """What a gateway's report says of an order."""
    report = at.report
    if order.done:
        return Verdict("confirmed")
    if report is None or at.reported == order.before:
        return _WAITING
    ours = (report.version, report.hash) == (order.version, order.hash)
    if ours and report.state == "confirmed":
        return Verdict("confirmed")
    if report.state == "rejected" and report.code in _OWN_CAUSES:
        why = _("rejected version {version} ({cause}): check this gateway; if it is right, use --version").format(
            version=order.version, cause=report.cause
        )
        return Verdict("failed", why, alone=True)
    if report.state == "rejected" or (ours and report.state == "rolled_back"):
        return Verdict("failed", f"{report.state}: {report.cause}")
    if report.version >= order.version and not ours:
        return Verdict("failed", _("received another configuration, version {version}").format(version=report.version))
    return _WAITING


def _says(document: Document, wanted: RolloutTarget) -> bool:
    same = document.gateways == (wanted.gateway,) and document.config == wanted.config
    return same and document.confirm_s == wanted.confirm_s and document.min_agent == "0.0"
