"""The trust chain: root documents that say who may sign, each signed by its predecessor and by itself. Pure.

``trust.json`` is a JSON list of all roots, oldest first, each in an envelope. Maintainers keep it, technicians install
it, and ``config/trust`` carries it. A gateway stores only the newest root that it has verified.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.strict_json import loads
from agent.base.timekeeping.trusted_time import rfc_3339, unix_ms
from agent.update.signed.dsse import (
    KEY_BYTES,
    TRUST_TYPE,
    Envelope,
    Role,
    SignatureCheck,
    VerificationSteps,
    from_json,
    require_signatures,
    signature_checks,
)

RoleName = Literal["root", "config", "command"]
ROLES: tuple[RoleName, ...] = ("root", "config", "command")

MAX_ROOTS = 256
MAX_KEYS = 16
MAX_VERSION = 2**53
MAX_CHAIN_BYTES = 260_096
"""What fits into a message of 256 KiB (the most that a gateway accepts) beside its topic and properties. As published,
a root takes about 770 bytes with one key per role, and about 1450 with three keys per role and two signatures."""
_ROOT_BYTES = 16_384
_MAX_CHECKS = 4096
"""Signatures verified at a time. A hostile list costs one such batch, since only a valid batch leads to the next."""


@dataclass(frozen=True, slots=True)
class Root:
    """A root document. ``floor``: from this root on, only configurations with a version above it are accepted; it
    replaces the gateway's own record. ``fingerprint``: SHA-256 of the payload, in hex."""

    version: int
    issued_ms: int
    expires_ms: int
    roles: Mapping[RoleName, Role]
    floor: int | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Floor:
    """A version floor found while following the chain: the version of its root, the floor, and when it was issued."""

    root: int
    version: int
    issued_ms: int


@dataclass(frozen=True, slots=True)
class Followed:
    """The result of following a chain: the newest valid root, and why the next one was rejected. ``payload``: the bytes
    of ``root`` to store (see :func:`parse_root`), or ``None`` if the root is the one already trusted."""

    root: Root
    payload: bytes | None = None
    floor: Floor | None = None
    rejected: RejectedError | None = None


def encode_root(root: Root) -> bytes:
    """Return the payload to sign."""
    roles = {
        name: {"keys": [key.hex() for key in role.keys], "threshold": role.threshold}
        for name, role in root.roles.items()
    }
    dates = {"issued": rfc_3339(root.issued_ms), "expires": rfc_3339(root.expires_ms)}
    floor = {} if root.floor is None else {"floor": root.floor}
    return json.dumps({"version": root.version, **dates, "roles": roles, **floor}, separators=(",", ":")).encode()


def parse_root(raw: bytes, path: str = "") -> Root:
    """Parse the payload of a root. Raises :class:`RejectedError`: ``too_large``, ``malformed``, ``duplicate_keys``."""
    document = loads(raw, _ROOT_BYTES, path)
    keys = {"version", "issued", "expires", "roles"}
    if not isinstance(document, dict) or not keys <= document.keys() <= keys | {"floor"}:
        raise _malformed(path)
    version, floor = document["version"], document.get("floor")
    issued, expires = unix_ms(document["issued"]), unix_ms(document["expires"])
    if not _is_version(version, 1) or not (floor is None or _is_version(floor, 0)):
        raise _malformed(path)
    if issued is None or expires is None or issued >= expires:
        raise _malformed(path)
    roles = document["roles"]
    if not isinstance(roles, dict) or roles.keys() != set(ROLES):
        raise _malformed(path)
    parsed_roles = {name: _role(roles[name], path) for name in ROLES}
    return Root(version, issued, expires, parsed_roles, floor, hashlib.sha256(raw).hexdigest())


def parse_chain(raw: bytes) -> tuple[Envelope, ...]:
    """Parse all envelopes of a trust file or message. Raises :class:`RejectedError`."""
    roots = loads(raw, MAX_CHAIN_BYTES)
    if not isinstance(roots, list) or not 0 < len(roots) <= MAX_ROOTS:
        raise _malformed("")
    return tuple(from_json(root, f"[{at}]") for at, root in enumerate(roots))


def encode_chain(roots: Sequence[Mapping[str, object]]) -> bytes:
    """Return a trust file made of envelopes in their JSON form (:func:`agent.update.signed.dsse.to_json`)."""
    return (json.dumps(roots, indent=1) + "\n").encode()


def leads_to(chain: Sequence[Envelope], trusted: Root) -> bool:
    """Return whether a trusted root is on this chain or may follow it. Raises :class:`RejectedError`."""
    roots = [_root(envelope, f"[{at}]") for at, envelope in enumerate(chain)]
    same = [root for root in roots if root.version == trusted.version]
    return all(root.fingerprint == trusted.fingerprint for root in same) and (
        bool(same) or all(root.version < trusted.version for root in roots)
    )


def adopt(raw: bytes) -> VerificationSteps[Followed]:
    """Adopt the chain that a technician installs: trust its oldest root if it has signed itself, then follow the rest.

    Raises :class:`RejectedError`.
    """
    oldest = parse_chain(raw)[0]
    root = _root(oldest, "[0]")
    checks = signature_checks(oldest, root.roles["root"])
    require_signatures(checks, (yield checks) if checks else (), root.roles["root"], "[0]")
    floor = None if root.floor is None else Floor(root.version, root.floor, root.issued_ms)
    further = yield from follow(raw, root)
    if further.payload is None:
        return Followed(root, oldest.payload, floor, further.rejected)
    return further if further.floor else replace(further, floor=floor)


def follow(raw: bytes, trusted: Root) -> VerificationSteps[Followed]:
    """Follow a chain from ``trusted`` as far as it is valid: one version at a time, each root signed by enough keys of
    its predecessor and by enough of its own. An expired root still leads to the next.

    Roots up to the trusted version are skipped. Raises :class:`RejectedError` if it is not a chain at all.
    """
    reached = Followed(trusted)
    following, rejected = _following(parse_chain(raw), trusted)
    while following:
        before = reached.root
        checks: list[SignatureCheck] = []
        steps: list[tuple[_Step, Root, int, int]] = []
        for step in following:
            needed = _needed(step, before)
            if steps and len(checks) + len(needed) > _MAX_CHECKS:
                break
            steps.append((step, before, len(checks), len(checks) + len(needed)))
            checks += needed
            before = step.root
        answers = (yield tuple(checks)) if checks else ()
        for step, before, begin, end in steps:
            try:
                _require_both(step, before, checks[begin:end], answers[begin:end])
            except RejectedError as error:
                return replace(reached, rejected=error)
            floor = reached.floor
            if step.root.floor is not None:
                floor = Floor(step.root.version, step.root.floor, step.root.issued_ms)
            reached = Followed(step.root, step.envelope.payload, floor)
        following = following[len(steps) :]
    return replace(reached, rejected=rejected)


@dataclass(frozen=True, slots=True)
class _Step:
    root: Root
    envelope: Envelope
    path: str


def _following(chain: Sequence[Envelope], trusted: Root) -> tuple[list[_Step], RejectedError | None]:
    """Return the roots after the trusted one, without a gap, and why the next one was rejected."""
    steps: list[_Step] = []
    version = trusted.version
    for at, envelope in enumerate(chain):
        path = f"[{at}]"
        try:
            root = _root(envelope, path)
        except RejectedError as error:
            return steps, error
        if root.version == trusted.version and root.fingerprint != trusted.fingerprint:
            message = _("another root already has version {version}").format(version=root.version)
            return steps, RejectedError(Rejection.EQUIVOCATION, message, path)
        if root.version <= trusted.version:
            continue
        if root.version != version + 1:
            message = _("root {found} does not follow root {last}").format(found=root.version, last=version)
            return steps, RejectedError(Rejection.ROOT_JUMP, message, path)
        version = root.version
        steps.append(_Step(root, envelope, path))
    return steps, None


def _root(envelope: Envelope, path: str) -> Root:
    if envelope.payload_type != TRUST_TYPE:
        message = _("signed as {found}, expected {wanted}").format(found=envelope.payload_type[:64], wanted=TRUST_TYPE)
        raise RejectedError(Rejection.TYPE, message, path)
    return parse_root(envelope.payload, path)


def _needed(step: _Step, before: Root) -> tuple[SignatureCheck, ...]:
    old, new = before.roles["root"], step.root.roles["root"]
    return signature_checks(step.envelope, Role(tuple(dict.fromkeys(old.keys + new.keys)), 1))


def _require_both(step: _Step, before: Root, checks: Sequence[SignatureCheck], answers: Sequence[bool]) -> None:
    for root in (before, step.root):
        require_signatures(checks, answers, root.roles["root"], step.path)


def _role(value: object, path: str) -> Role:
    if not isinstance(value, dict) or value.keys() != {"keys", "threshold"}:
        raise _malformed(path)
    keys, threshold = value["keys"], value["threshold"]
    if not isinstance(keys, list) or not isinstance(threshold, int) or isinstance(threshold, bool):
        raise _malformed(path)
    parsed = tuple(_key(key, path) for key in keys)
    # A key that is listed twice, whatever its spelling, would count twice.
    if len(set(parsed)) < len(parsed) or not 1 <= threshold <= len(parsed) <= MAX_KEYS:
        raise _malformed(path)
    return Role(parsed, threshold)


def _key(value: object, path: str) -> bytes:
    key = public_key(value) if isinstance(value, str) else None
    if key is None:
        raise _malformed(path)
    return key


def public_key(text: str) -> bytes | None:
    """Parse a public key of 64 hex digits; return ``None`` for any other text."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES and len(text) == 2 * KEY_BYTES else None


def format_fingerprint(fingerprint: str) -> str:
    """Return the first 128 bits of a fingerprint for people to compare: eight groups of four digits."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, 32, 4))


def _is_version(value: object, min_: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and min_ <= value <= MAX_VERSION


def _malformed(path: str) -> RejectedError:
    return RejectedError(Rejection.MALFORMED, _("not a valid trust document"), path)
