"""Who may sign: a chain of root documents, each signed by the one before it and by itself. Pure.

``trust.json``, as maintainers keep it, technicians install it and ``config/trust`` carries it, is a JSON list of all
roots, oldest first, each an envelope. A gateway holds the one that it has reached.
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
from agent.base.trusted_time import rfc_3339, unix_ms
from agent.update.signed.dsse import (
    KEY_BYTES,
    TRUST_TYPE,
    Envelope,
    Role,
    SignatureCheck,
    VerificationSteps,
    checks,
    demand,
    read,
)

RoleName = Literal["root", "config", "command"]
ROLES: tuple[RoleName, ...] = ("root", "config", "command")

MAX_ROOTS = 256
MAX_KEYS = 16
MAX_VERSION = 2**53
MAX_CHAIN_BYTES = 260_096
"""What a message of 256 KiB (a gateway takes no longer one) holds beside its topic and properties. As published,
a root with one key for each role takes about 770 bytes, one of three keys each with two signatures about 1450."""
_ROOT_BYTES = 16_384
_MAX_CHECKS = 4096
"""Signatures verified at a time: a hostile list costs one step of this, since only a good one leads to the next."""


@dataclass(frozen=True, slots=True)
class Root:
    """A root document. ``floor``: the version above which configurations are taken from here on; it replaces what
    the gateway remembers. ``fingerprint``: SHA-256 of the payload, in hex."""

    version: int
    issued_ms: int
    expires_ms: int
    roles: Mapping[RoleName, Role]
    floor: int | None = None
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Floor:
    """A floor that was passed on the way: of which root, its version, and when that root was issued."""

    root: int
    version: int
    issued_ms: int


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of a chain: where it led, and why not further. ``payload``: that of ``root``, to be kept
    (:func:`read_root` reads it), or ``None`` where nothing is new."""

    root: Root
    payload: bytes | None = None
    floor: Floor | None = None
    refused: RejectedError | None = None


def payload(root: Root) -> bytes:
    """A root document as it is signed."""
    roles = {
        name: {"keys": [key.hex() for key in role.keys], "threshold": role.threshold}
        for name, role in root.roles.items()
    }
    dates = {"issued": rfc_3339(root.issued_ms), "expires": rfc_3339(root.expires_ms)}
    floor = {} if root.floor is None else {"floor": root.floor}
    return json.dumps({"version": root.version, **dates, "roles": roles, **floor}, separators=(",", ":")).encode()


def read_root(raw: bytes, path: str = "") -> Root:
    """Read the payload of a root. Raises :class:`RejectedError`: ``too_large``, ``malformed``, ``duplicate_keys``."""
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
    read_roles = {name: _role(roles[name], path) for name in ROLES}
    return Root(version, issued, expires, read_roles, floor, hashlib.sha256(raw).hexdigest())


def parse_chain(raw: bytes) -> tuple[Envelope, ...]:
    """All envelopes of a trust file or message. Raises :class:`RejectedError`."""
    roots = loads(raw, MAX_CHAIN_BYTES)
    if not isinstance(roots, list) or not 0 < len(roots) <= MAX_ROOTS:
        raise _malformed("")
    return tuple(read(root, f"[{at}]") for at, root in enumerate(roots))


def written_chain(roots: Sequence[Mapping[str, object]]) -> bytes:
    """A trust file from its envelopes as JSON has them (:func:`agent.update.signed.dsse.table`)."""
    return (json.dumps(roots, indent=1) + "\n").encode()


def leads_to(chain: Sequence[Envelope], trusted: Root) -> bool:
    """Whether a trusted root can come from this chain, as far as it goes. Raises :class:`RejectedError`."""
    roots = [_root(envelope, f"[{at}]") for at, envelope in enumerate(chain)]
    same = [root for root in roots if root.version == trusted.version]
    return all(root.fingerprint == trusted.fingerprint for root in same) and (
        bool(same) or all(root.version < trusted.version for root in roots)
    )


def first(raw: bytes) -> VerificationSteps[Followed]:
    """Take over the chain that a technician installs: its oldest root is trusted as it is, if whole, and followed.

    Raises :class:`RejectedError`.
    """
    oldest = parse_chain(raw)[0]
    root = _root(oldest, "[0]")
    asked = checks(oldest, root.roles["root"])
    demand(asked, (yield asked) if asked else (), root.roles["root"], "[0]")
    floor = None if root.floor is None else Floor(root.version, root.floor, root.issued_ms)
    further = yield from follow(raw, root)
    if further.payload is None:
        return Followed(root, oldest.payload, floor, further.refused)
    return further if further.floor else replace(further, floor=floor)


def follow(raw: bytes, trusted: Root) -> VerificationSteps[Followed]:
    """Go from ``trusted`` along a chain as far as it is good: one version at a time, each root signed by enough keys
    of the one before it and of itself. An expired root still leads to the next.

    What stands in the list up to the trusted version is skipped. Raises :class:`RejectedError` where it is no chain at
    all.
    """
    reached = Followed(trusted)
    coming, refused = _coming(parse_chain(raw), trusted)
    while coming:
        before = reached.root
        asked: list[SignatureCheck] = []
        steps: list[tuple[_Step, Root, int, int]] = []
        for step in coming:
            needed = _needed(step, before)
            if steps and len(asked) + len(needed) > _MAX_CHECKS:
                break
            steps.append((step, before, len(asked), len(asked) + len(needed)))
            asked += needed
            before = step.root
        answers = (yield tuple(asked)) if asked else ()
        for step, before, begin, end in steps:
            try:
                _demand_both(step, before, asked[begin:end], answers[begin:end])
            except RejectedError as error:
                return replace(reached, refused=error)
            floor = reached.floor
            if step.root.floor is not None:
                floor = Floor(step.root.version, step.root.floor, step.root.issued_ms)
            reached = Followed(step.root, step.envelope.payload, floor)
        coming = coming[len(steps) :]
    return replace(reached, refused=refused)


@dataclass(frozen=True, slots=True)
class _Step:
    root: Root
    envelope: Envelope
    path: str


def _coming(chain: Sequence[Envelope], trusted: Root) -> tuple[list[_Step], RejectedError | None]:
    """The roots after the trusted one, without a gap; and what is wrong with the one after them."""
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
    return read_root(envelope.payload, path)


def _needed(step: _Step, before: Root) -> tuple[SignatureCheck, ...]:
    old, new = before.roles["root"], step.root.roles["root"]
    return checks(step.envelope, Role(tuple(dict.fromkeys(old.keys + new.keys)), 1))


def _demand_both(step: _Step, before: Root, asked: Sequence[SignatureCheck], answers: Sequence[bool]) -> None:
    for root in (before, step.root):
        demand(asked, answers, root.roles["root"], step.path)


def _role(value: object, path: str) -> Role:
    if not isinstance(value, dict) or value.keys() != {"keys", "threshold"}:
        raise _malformed(path)
    keys, threshold = value["keys"], value["threshold"]
    if not isinstance(keys, list) or not isinstance(threshold, int) or isinstance(threshold, bool):
        raise _malformed(path)
    found = tuple(_key(key, path) for key in keys)
    # A key that is listed twice, in whatever spelling, would count twice.
    if len(set(found)) < len(found) or not 1 <= threshold <= len(found) <= MAX_KEYS:
        raise _malformed(path)
    return Role(found, threshold)


def _key(value: object, path: str) -> bytes:
    key = public_key(value) if isinstance(value, str) else None
    if key is None:
        raise _malformed(path)
    return key


def public_key(text: str) -> bytes | None:
    """A public key of 64 hex digits; ``None`` where it is none."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES and len(text) == 2 * KEY_BYTES else None


def grouped(fingerprint: str) -> str:
    """The first 128 bits of a fingerprint, as people compare them: eight groups of four."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, 32, 4))


def _is_version(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_VERSION


def _malformed(path: str) -> RejectedError:
    return RejectedError(Rejection.MALFORMED, _("not a valid trust document"), path)
