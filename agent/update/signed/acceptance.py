"""A configuration from outside: checked in a fixed order, so that the first thing wrong is what is reported. Pure.

Nothing in the document is looked at before its signatures are verified, and the bytes that are read are the bytes that
were signed.
"""

from dataclasses import dataclass

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.trusted_time import TrustedTime, check_dates, check_expiry
from agent.config.document import Document, check_target, fingerprint, parse_document, release
from agent.config.generation import Generation
from agent.config.layers import check_remote
from agent.config.parse import DriverLookup
from agent.config.resolve import ResolvedConfig, resolve
from agent.update.signed.dsse import CONFIG_TYPE, VerificationSteps, authenticated, parse
from agent.update.signed.trust import Root
from agent.update.signed.version_mark import Mark

__all__ = ["Accepted", "Document", "GatewayContext", "NoChange", "examine", "fingerprint", "parse_document"]

MAX_VERSION = 2**53
LARGEST_JUMP = 1_000_000


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What a gateway knows when a message comes in.

    ``processed``: SHA-256 (hex) of messages that were looked at before; ``running``: ``hash`` of the configuration
    that runs or is being tried, empty for the file's own; ``bad``: hashes of those that were rolled back.
    """

    gateway: str
    agent: str
    trust: Root | None
    mark: Mark
    moment: TrustedTime
    processed: frozenset[str] = frozenset()
    running: str = ""
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NoChange:
    """There is nothing to do: the message is the last one again, or what it wants runs already."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A configuration to try: ``resolved`` is what will run. ``message``: SHA-256 (hex) of the message.

    ``unproven``: the clock is unset, so ask :func:`~agent.base.trusted_time.check_expiry` again once it is set.
    """

    resolved: ResolvedConfig
    document: Document
    message: str
    unproven: bool


def examine(
    raw: bytes, context: GatewayContext, local: Generation, catalog: DriverLookup
) -> VerificationSteps[Accepted | NoChange]:
    """Decide about a message of ``config/desired``; ``local``: with the gateway's own files. Raises
    :class:`RejectedError`.

    The order: the message as before (nothing to do, nothing verified), size, envelope, threshold, payload type, strict
    parse, target, version, time, agent, local keys, schema, drivers. What is refused changes nothing; once the
    signatures are verified, the refusal says of which document it is.
    """
    message = fingerprint(raw)
    if message in context.processed:
        return NoChange()
    envelope = parse(raw)
    if context.trust is None:
        raise RejectedError(Rejection.NO_TRUST, _("this gateway trusts no key yet: install trust.json"))
    payload = yield from authenticated(envelope, context.trust.roles["config"], CONFIG_TYPE)
    document = parse_document(payload)
    try:
        check_target(document, context.gateway)
        if not _is_new(document, context):
            return NoChange()
        check_expiry(context.trust.expires_ms, context.moment, "trust.expires")
        check_dates(document.issued_ms, document.expires_ms, context.moment)
        _check_agent(document.min_agent, context.agent)
        check_remote(document.config)
        generation = Generation(local.base, local.overlay, payload.decode())
        resolved = resolve(generation, catalog, document)
    except RejectedError as error:
        raise error.about(document.version, document.hash) from error.__cause__
    return Accepted(resolved, document, message, not context.moment.is_set)


def _is_new(document: Document, context: GatewayContext) -> bool:
    """Whether there is something to do. Raises :class:`RejectedError` where the version forbids it."""
    mark = context.mark
    if document.version < mark.version:
        message = _("version {version} is older than {mark}").format(version=document.version, mark=mark.version)
        raise RejectedError(Rejection.ROLLBACK, message, "version")
    if document.version > min(mark.version + LARGEST_JUMP, MAX_VERSION):
        message = _("version {version} is too far above {mark}").format(version=document.version, mark=mark.version)
        raise RejectedError(Rejection.JUMP, message, "version")
    if document.version > mark.version:
        return True
    if document.hash != mark.hash:
        message = _("version {version} was already used with different content").format(version=document.version)
        # Of a version that a root's floor has set nothing is known: it is only too low.
        raise RejectedError(Rejection.EQUIVOCATION if mark.hash else "rollback", message, "version")
    if document.hash in context.bad:
        message = _("version {version} was tried and rolled back").format(version=document.version)
        raise RejectedError(Rejection.KNOWN_BAD, message, "version")
    # Not running: the power was cut after the mark was raised, and before the rest.
    return document.hash != context.running


def _check_agent(least: str, agent: str) -> None:
    if release(agent) < release(least):
        message = _("needs agent {least} or newer; this is {agent}").format(least=least, agent=agent)
        raise RejectedError(Rejection.MIN_AGENT, message, "min_agent")
