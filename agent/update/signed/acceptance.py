"""Checks a signed configuration in a fixed order, so that the first problem is the one reported. Pure.

Nothing in the document is parsed before its signatures are verified, and the bytes parsed are the bytes that were
signed.
"""

from dataclasses import dataclass

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import TrustedTime, check_dates, check_expiry
from agent.config.document import Document, check_target, fingerprint, parse_document, release
from agent.config.generation import Generation
from agent.config.layers import check_remote
from agent.config.parse import DriverLookup
from agent.config.resolve import ResolvedConfig, resolve
from agent.update.signed.dsse import CONFIG_TYPE, VerificationSteps, authenticate, parse
from agent.update.signed.trust import Root
from agent.update.signed.version_mark import Mark

__all__ = ["Accepted", "Document", "GatewayContext", "NoChange", "examine", "fingerprint", "parse_document"]

MAX_VERSION = 2**53
MAX_JUMP = 1_000_000


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What a gateway knows when a message arrives.

    ``processed``: SHA-256 (hex) of messages already handled; ``running``: ``hash`` of the configuration that runs or is
    on trial, empty if it comes from the gateway's own file; ``bad``: hashes of configurations that were rolled back.
    """

    gateway: str
    agent: str
    trust: Root | None
    mark: Mark
    trusted_time: TrustedTime
    processed: frozenset[str] = frozenset()
    running: str = ""
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NoChange:
    """Nothing to do: the message was already handled, or its configuration is already running."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A configuration to try: ``resolved`` will run. ``message``: SHA-256 (hex) of the message.

    ``unproven``: the clock is unset; call :func:`~agent.base.timekeeping.trusted_time.check_expiry` again once it is
    set.
    """

    resolved: ResolvedConfig
    document: Document
    message: str
    unproven: bool


def examine(
    raw: bytes, context: GatewayContext, local: Generation, catalog: DriverLookup
) -> VerificationSteps[Accepted | NoChange]:
    """Decide whether to accept a message of ``config/desired``. ``local`` contains the gateway's own files.

    The order: message already handled (then nothing is verified), size, envelope, threshold, payload type, strict
    parse, target, version, time, agent, local keys, schema, drivers. Raises :class:`RejectedError`, which names the
    document once its signatures are verified. A rejected message changes nothing.
    """
    message = fingerprint(raw)
    if message in context.processed:
        return NoChange()
    envelope = parse(raw)
    if context.trust is None:
        raise RejectedError(Rejection.NO_TRUST, _("this gateway trusts no key yet: install trust.json"))
    payload = yield from authenticate(envelope, context.trust.roles["config"], CONFIG_TYPE)
    document = parse_document(payload)
    try:
        check_target(document, context.gateway)
        if not _is_new(document, context):
            return NoChange()
        check_expiry(context.trust.expires_ms, context.trusted_time, "trust.expires")
        check_dates(document.issued_ms, document.expires_ms, context.trusted_time)
        _check_agent(document.min_agent, context.agent)
        check_remote(document.config)
        generation = Generation(local.base, local.overlay, payload.decode())
        resolved = resolve(generation, catalog, document)
    except RejectedError as error:
        raise error.for_document(document.version, document.hash) from error.__cause__
    return Accepted(resolved, document, message, not context.trusted_time.is_set)


def _is_new(document: Document, context: GatewayContext) -> bool:
    """Return whether the document changes anything. Raises :class:`RejectedError` if its version is not acceptable."""
    mark = context.mark
    if document.version < mark.version:
        message = _("version {version} is older than {mark}").format(version=document.version, mark=mark.version)
        raise RejectedError(Rejection.ROLLBACK, message, "version")
    if document.version > min(mark.version + MAX_JUMP, MAX_VERSION):
        message = _("version {version} is too far above {mark}").format(version=document.version, mark=mark.version)
        raise RejectedError(Rejection.JUMP, message, "version")
    if document.version > mark.version:
        return True
    if document.hash != mark.hash:
        message = _("version {version} was already used with different content").format(version=document.version)
        # If a root's floor set the mark, its content is unknown; the version is just too low.
        raise RejectedError(Rejection.EQUIVOCATION if mark.hash else "rollback", message, "version")
    if document.hash in context.bad:
        message = _("version {version} was tried and rolled back").format(version=document.version)
        raise RejectedError(Rejection.KNOWN_BAD, message, "version")
    # It may have the mark and not run: the power was cut between the two.
    return document.hash != context.running


def _check_agent(min_agent: str, agent: str) -> None:
    if release(agent) < release(min_agent):
        message = _("needs agent {needed} or newer; this is {agent}").format(needed=min_agent, agent=agent)
        raise RejectedError(Rejection.MIN_AGENT, message, "min_agent")
