"""A rollout of one change to many gateways: what to send to each, and how far each has come. Pure.

Versions come from what maintainers signed, never from what a gateway reports, so that a stolen gateway cannot affect
the versions of others.
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
from agent.update.signed.dsse import CONFIG_TYPE, Envelope, encode, parse, pre_authentication, to_json

Sign = Callable[[bytes], Mapping[bytes, bytes]]
"""The signatures of a message, by public key."""
Recognise = Callable[[Envelope], bool]
"""Whether maintainers have signed an envelope."""
_OWN_CAUSES = ("rollback", "jump")
"""Rejections that concern the gateway's own record of versions, not the configuration."""


def signed_document(message: bytes, gateway: str, recognise: Recognise) -> Document | None:
    """Return the configuration in a message if maintainers signed it for this gateway, otherwise ``None``."""
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
    """The configuration that one gateway should run. ``lasts_ms``: how long it may be accepted."""

    gateway: str
    config: Tables
    confirm_s: float
    lasts_ms: int

    def payload(self, version: int, now_ms: int) -> bytes:
        """Return the document to sign. Raises :class:`RejectedError` and :class:`TypeError`, as
        :func:`~agent.config.document.encode_document` does."""
        until_ms = now_ms + self.lasts_ms
        return encode_document(self.config, [self.gateway], version, now_ms, until_ms, self.confirm_s)


@dataclass(frozen=True, slots=True)
class RolloutMessage:
    """A message for one gateway. ``before``: the gateway's ``config/reported`` when the message was chosen; ``done``:
    the configuration already runs there and is confirmed."""

    gateway: str
    version: int
    hash: str
    message: bytes
    before: bytes
    done: bool = False


def existing_message(target: RolloutTarget, gateway: ReportedGateway, sign: Sign, now_ms: int) -> RolloutMessage | None:
    """Return the message retained for the gateway if it has the same content and our signatures, and may still be
    confirmed. An interrupted rollout thus continues, and nothing is done twice."""
    try:
        found = parse(gateway.desired)
        document = parse_document(found.payload)
    except RejectedError:
        return None
    if found.payload_type != CONFIG_TYPE or not _matches(document, target):
        return None
    if not set(sign(found.signed).values()) <= set(found.signatures):
        return None
    report = gateway.report
    ours = (document.version, document.hash)
    if report is not None and report.running == ours and report.state in ("confirmed", "rejected"):
        # If it is "rejected", that was a later message.
        return RolloutMessage(gateway.name, *ours, gateway.desired, gateway.reported, done=True)
    if report is None or report.state in ("rejected", "rolled_back") or document.expires_ms <= now_ms:
        return None
    if report.version > document.version or (report.version == document.version and report.hash != document.hash):
        return None
    return RolloutMessage(gateway.name, *ours, gateway.desired, gateway.reported)


def new_message(
    target: RolloutTarget, gateway: ReportedGateway, version: int, sign: Sign, now_ms: int, signed: int = 0
) -> RolloutMessage:
    """Return a new message. ``signed``: the version that maintainers signed for this gateway before. Raises
    :class:`RejectedError` if the gateway would not accept this version."""
    if version <= signed:
        raise RejectedError(
            Rejection.ROLLBACK, _("already has version {mark}; --version must be higher").format(mark=signed)
        )
    payload = target.payload(version, now_ms)
    message = encode(to_json(CONFIG_TYPE, payload, sign(pre_authentication(CONFIG_TYPE, payload))))
    parse(message)
    return RolloutMessage(gateway.name, version, parse_document(payload).hash, message, gateway.reported)


def next_version(signed: Collection[int], kept: Collection[RolloutMessage], floor: int = 0) -> int:
    """Return the version for gateways that need a new message: above all versions signed for them and above the
    ``floor`` of the root. It is at least the version of the messages that are kept, so that a continued rollout uses
    one version where possible."""
    return max(1 + max(signed, default=0), 1 + floor, max((message.version for message in kept), default=1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The progress of one gateway. ``why``: one line, if it failed; ``isolated``: the failure concerns only this
    gateway."""

    state: Literal["waiting", "confirmed", "failed"]
    why: str = ""
    isolated: bool = False


_WAITING = Verdict("waiting")


def judge(message: RolloutMessage, gateway: ReportedGateway) -> Verdict:
    """Judge the progress of a message by the gateway's report."""
    report = gateway.report
    if message.done:
        return Verdict("confirmed")
    if report is None or gateway.reported == message.before:
        return _WAITING
    ours = (report.version, report.hash) == (message.version, message.hash)
    if ours and report.state == "confirmed":
        return Verdict("confirmed")
    if report.state == "rejected" and report.code in _OWN_CAUSES:
        why = _("rejected version {version} ({cause}): check this gateway; if it is in order, use --version").format(
            version=message.version, cause=report.cause
        )
        return Verdict("failed", why, isolated=True)
    if report.state == "rejected" or (ours and report.state == "rolled_back"):
        return Verdict("failed", f"{report.state}: {report.cause}")
    if report.version >= message.version and not ours:
        return Verdict("failed", _("received another configuration, version {version}").format(version=report.version))
    return _WAITING


def _matches(document: Document, target: RolloutTarget) -> bool:
    same = document.gateways == (target.gateway,) and document.config == target.config
    return same and document.confirm_s == target.confirm_s and document.min_agent == "0.0"
