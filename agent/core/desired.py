"""A configuration from outside: checked in a fixed order, so that the first thing wrong is what is reported. Pure.

Nothing in the document is looked at before its signatures are verified, and the bytes that are read are the bytes that
were signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.config import DriverLookup, Parsed, Problem, read
from agent.core.config_document import Document, check_target, fingerprint, read_document, release
from agent.core.envelope import CONFIG_TYPE, Checked, authenticated, parse
from agent.core.moment import Moment, check_dates, check_expiry
from agent.core.refusal import Refused
from agent.core.remote_config import Merged, Tables, check_remote, merged
from agent.core.text import say
from agent.core.trust import Root
from agent.core.version_mark import Mark

__all__ = ["Accepted", "Document", "Files", "Nothing", "Standing", "examine", "fingerprint", "made", "read_document"]

MAX_VERSION = 2**53
LARGEST_JUMP = 1_000_000
_IMPOSSIBLE = frozenset({
    "address", "duplicate_id", "family", "no_output", "no_port", "not_shared", "port_and_bus", "port_shared",
    "unknown_bus", "unknown_field", "unknown_sensor",
})  # fmt: skip
"""Codes of problems with which a file is well written and yet no device can be as it says."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a gateway knows when a message comes in.

    ``processed``: SHA-256 (hex) of messages that were looked at before; ``running``: ``hash`` of the configuration
    that runs or is being tried, empty for the file's own; ``bad``: hashes of those that were rolled back.
    """

    gateway: str
    agent: str
    trust: Root | None
    mark: Mark
    moment: Moment
    processed: frozenset[str] = frozenset()
    running: str = ""
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Files:
    """The gateway's own files as tables: ``gardu.toml`` and ``local.toml`` (empty where there is none)."""

    base: Tables
    overlay: Tables


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do: the message is the last one again, or what it wants runs already."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A configuration to try. ``payload``: its bytes, to be kept; ``parsed`` has a configuration and its drivers, made
    of ``tables``.

    ``unproven``: the clock is unset, so ask :func:`~agent.core.moment.check_expiry` again once it is set.
    """

    document: Document
    payload: bytes
    message: str
    parsed: Parsed
    tables: Tables
    drift: tuple[str, ...]
    unproven: bool


def examine(raw: bytes, standing: Standing, files: Files, catalog: DriverLookup) -> Checked[Accepted | Nothing]:
    """Decide about a message of ``config/desired``. Raises :class:`Refused`.

    The order: the message as before (nothing to do, nothing verified), size, envelope, threshold, payload type, strict
    parse, target, version, time, agent, local keys, schema, drivers. What is refused changes nothing; once the
    signatures are verified, the refusal says of which document it is.
    """
    message = fingerprint(raw)
    if message in standing.processed:
        return Nothing()
    envelope = parse(raw)
    if standing.trust is None:
        raise Refused("no_trust", say("this gateway trusts nobody yet: install trust.json"))
    payload = yield from authenticated(envelope, standing.trust.roles["config"], CONFIG_TYPE)
    document = read_document(payload)
    try:
        check_target(document, standing.gateway)
        if not _is_new(document, standing):
            return Nothing()
        check_expiry(standing.trust.expires_ms, standing.moment, "trust.expires")
        check_dates(document.issued_ms, document.expires_ms, standing.moment)
        _check_agent(document.min_agent, standing.agent)
        check_remote(document.config)
        whole = _merged(document, files)
        parsed = _read(whole.tables, catalog)
    except Refused as error:
        raise error.about(document.version, document.hash) from error.__cause__
    return Accepted(document, payload, message, parsed, whole.tables, whole.drift, not standing.moment.is_set)


def made(document: Document | None, files: Files, catalog: DriverLookup) -> tuple[Parsed, tuple[str, ...]]:
    """The configuration in effect, and its drift; ``document`` ``None``: from the gateway's own files alone.

    Raises :class:`Refused`: ``schema``, ``driver_unknown``, ``device_impossible``.
    """
    whole = _merged(document, files)
    return _read(whole.tables, catalog), whole.drift


def _merged(document: Document | None, files: Files) -> Merged:
    return merged(files.base, None if document is None else document.config, files.overlay)


def _read(tables: Tables, catalog: DriverLookup) -> Parsed:
    parsed = read(tables, catalog)
    if parsed.config is None:
        raise refusal(parsed)
    return parsed


def refusal(parsed: Parsed) -> Refused:
    """The first error in the order of the checks: what is badly written, then drivers, then devices."""
    problems: Sequence[Problem] = [problem for problem in parsed.problems if problem.level == "error"]
    coded = [(_code(problem), problem) for problem in problems]
    for code in ("schema", "driver_unknown", "device_impossible"):
        for found, problem in coded:
            if found == code:
                return Refused(code, str(problem).removeprefix(f"{problem.path}: "), problem.path)
    raise AssertionError("a configuration is refused for a reason")


def _code(problem: Problem) -> str:
    if problem.code in ("unknown_driver", "broken_driver"):
        return "driver_unknown"
    return "device_impossible" if problem.code in _IMPOSSIBLE else "schema"


def _is_new(document: Document, standing: Standing) -> bool:
    """Whether there is something to do. Raises :class:`Refused` where the version forbids it."""
    mark = standing.mark
    if document.version < mark.version:
        message = say("version {version} is older than {mark}", version=document.version, mark=mark.version)
        raise Refused("rollback", message, "version")
    if document.version > min(mark.version + LARGEST_JUMP, MAX_VERSION):
        message = say("version {version} is too far above {mark}", version=document.version, mark=mark.version)
        raise Refused("jump", message, "version")
    if document.version > mark.version:
        return True
    if document.hash != mark.hash:
        message = say("version {version} was there already, with other content", version=document.version)
        # Of a version that a root's floor has set nothing is known: it is only too low.
        raise Refused("equivocation" if mark.hash else "rollback", message, "version")
    if document.hash in standing.bad:
        message = say("version {version} was tried, and rolled back", version=document.version)
        raise Refused("known_bad", message, "version")
    # Not running: the power was cut after the mark was raised, and before the rest.
    return document.hash != standing.running


def _check_agent(least: str, agent: str) -> None:
    if release(agent) < release(least):
        message = say("this needs agent {least}, here is {agent}", least=least, agent=agent)
        raise Refused("min_agent", message, "min_agent")
