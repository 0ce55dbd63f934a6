"""Signed envelopes, DSSE v1: a payload, its type, and signatures over both. Pure: signatures are verified elsewhere.

Source: Dead Simple Signing Envelope 1.0.2 (secure-systems-lab/dsse, ``protocol.md`` and ``envelope.md``). Nothing is
canonicalised: the payload's bytes are signed, and the same bytes are parsed.

Functions that need signatures verified are generators: they yield :class:`SignatureCheck` objects, receive one answer
for each, and return their result (``agent.update.io.signatures.run_verification`` runs them).
"""

import base64
import binascii
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.strict_json import MAX_BYTES, loads

T = TypeVar("T")

CONFIG_TYPE = "application/vnd.gardu.config.v1+json"
COMMAND_TYPE = "application/vnd.gardu.command.v1+json"
TRUST_TYPE = "application/vnd.gardu.trust.v1+json"

MAX_SIGNATURES = 16
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SignatureCheck(NamedTuple):
    """One question: is ``signature`` the Ed25519 signature of ``message`` by ``key`` (the 32 bytes)?"""

    key: bytes
    message: bytes
    signature: bytes


VerificationSteps = Generator[Sequence[SignatureCheck], Sequence[bool], T]
"""A decision that needs signatures verified along the way."""


@dataclass(frozen=True, slots=True)
class Role:
    """Public keys, and how many of them must sign."""

    keys: tuple[bytes, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope. ``signatures``: 64 bytes each. Key ids are only hints and are dropped: each signature is tried
    with each key."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def signed(self) -> bytes:
        """The signed bytes: DSSE's pre-authentication encoding."""
        return pre_authentication(self.payload_type, self.payload)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return the encoding that binds a payload to its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse(raw: bytes) -> Envelope:
    """Parse an envelope. Raises :class:`RejectedError`: ``too_large``, ``malformed``, ``duplicate_keys``."""
    return from_json(loads(raw, MAX_BYTES))


def from_json(value: object, path: str = "") -> Envelope:
    """Return the envelope in parsed JSON. Raises :class:`RejectedError`: ``malformed``."""
    if not isinstance(value, dict):
        raise _malformed(path)
    inside = f"{path}." if path else ""
    payload_type, signatures = value.get("payloadType"), value.get("signatures")
    if not isinstance(payload_type, str):
        raise _malformed(f"{inside}payloadType")
    if not isinstance(signatures, list) or len(signatures) > MAX_SIGNATURES:
        raise _malformed(f"{inside}signatures")
    decoded = []
    for at, entry in enumerate(signatures):
        where = f"{inside}signatures[{at}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("keyid", ""), str):
            raise _malformed(where)
        signature = _bytes(entry.get("sig"), f"{where}.sig")
        if len(signature) != SIGNATURE_BYTES:
            raise _malformed(f"{where}.sig")
        decoded.append(signature)
    return Envelope(payload_type, _bytes(value.get("payload"), f"{inside}payload"), tuple(decoded))


def to_json(payload_type: str, payload: bytes, signatures: Mapping[bytes, bytes]) -> dict[str, object]:
    """Return an envelope in its JSON form. ``signatures``: by public key."""
    encoded = base64.b64encode(payload).decode()
    return countersign({"payloadType": payload_type, "payload": encoded, "signatures": []}, signatures)


def countersign(entries: Mapping[str, object], signatures: Mapping[bytes, bytes]) -> dict[str, object]:
    """Add signatures to an envelope in its JSON form. Raises :class:`RejectedError` if it is not a valid envelope."""
    from_json(entries)
    before = cast(list[dict[str, str]], entries["signatures"])
    new = [{"keyid": key_id(key), "sig": base64.b64encode(signature).decode()} for key, signature in signatures.items()]
    kept = [entry for entry in before if entry["sig"] not in {added["sig"] for added in new}]
    return {**entries, "signatures": [*kept, *new]}


def encode(entries: Mapping[str, object]) -> bytes:
    """Return the bytes to publish."""
    return json.dumps(entries, separators=(",", ":")).encode()


def key_id(key: bytes) -> str:
    """Return a public key's short id: the first 16 hex digits of its SHA-256."""
    import hashlib

    return hashlib.sha256(key).hexdigest()[:16]


def signature_checks(envelope: Envelope, role: Role) -> tuple[SignatureCheck, ...]:
    """Return the checks that tell which keys of ``role`` have signed."""
    message = envelope.signed
    return tuple(SignatureCheck(key, message, signature) for signature in envelope.signatures for key in role.keys)


def require_signatures(checks: Sequence[SignatureCheck], answers: Sequence[bool], role: Role, path: str = "") -> None:
    """Raise :class:`RejectedError` unless enough different keys of ``role`` have signed.

    ``unsigned``: no signature at all; ``wrong_key``: none by a key of the role; ``same_key``: enough signatures, but by
    too few keys; ``threshold``: too few.
    """
    good = [
        check.key for check, answer in zip(checks, answers, strict=True) if answer is True and check.key in role.keys
    ]
    signers = set(good)
    if len(signers) >= role.threshold:
        return
    if not checks:
        raise RejectedError(Rejection.UNSIGNED, _("not signed"), path)
    if not signers:
        raise RejectedError(Rejection.WRONG_KEY, _("not signed by any trusted key"), path)
    code = "same_key" if len(good) >= role.threshold else "threshold"
    message = _("signed by {count} of {needed} required keys").format(count=len(signers), needed=role.threshold)
    raise RejectedError(code, message, path)


def authenticate(envelope: Envelope, role: Role, payload_type: str) -> VerificationSteps[bytes]:
    """Return the payload if enough keys of ``role`` have signed it as ``payload_type``. Raises :class:`RejectedError`
    as :func:`require_signatures`, and with ``type``."""
    checks = signature_checks(envelope, role)
    answers = (yield checks) if checks else ()
    require_signatures(checks, answers, role)
    if envelope.payload_type != payload_type:
        message = _("signed as {found}, expected {wanted}").format(
            found=envelope.payload_type[:64], wanted=payload_type
        )
        raise RejectedError(Rejection.TYPE, message, "payloadType")
    return envelope.payload


def _bytes(value: object, path: str) -> bytes:
    """Decode base64 in the standard or the URL-safe alphabet."""
    if not isinstance(value, str) or not value.isascii():
        raise _malformed(path)
    try:
        return base64.b64decode(value.translate(_URL_SAFE), validate=True)
    except binascii.Error as error:
        raise _malformed(path) from error


_URL_SAFE = str.maketrans("-_", "+/")


def _malformed(path: str) -> RejectedError:
    return RejectedError(Rejection.MALFORMED, _("not a valid envelope"), path)
