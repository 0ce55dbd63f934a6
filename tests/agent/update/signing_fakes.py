"""Documents and signatures for tests of the pure part: a scheme of its own stands in for Ed25519.

Whoever has the name of a key can sign with it, in a thousandth of the time; real keys are in
``tests/agent/update/io/test_signatures.py``.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agent.base.errors import RejectedError
from agent.base.timekeeping.trusted_time import TrustedTime, rfc_3339
from agent.config.generation import Generation
from agent.update.signed.acceptance import Accepted, GatewayContext, NoChange, examine
from agent.update.signed.dsse import (
    CONFIG_TYPE,
    TRUST_TYPE,
    Role,
    SignatureCheck,
    VerificationSteps,
    pre_authentication,
)
from agent.update.signed.trust import Root, encode_root
from agent.update.signed.version_mark import Mark
from tests.agent.config.config_fakes import FakeCatalog

T = TypeVar("T")

DAY_MS = 86_400_000
NOW_MS = 1_795_500_000_000
GATEWAY = "batua-01"
BASE: Mapping[str, Any] = {
    "gateway": {"id": GATEWAY, "site": "batua", "sector": "health"},
    "broker": {"url": "mqtts://old.example", "password_file": "/etc/gardu/password"},
}
CONFIG: Mapping[str, Any] = {
    "broker": {"url": "mqtts://broker.example:8883"},
    "sensor": [{"id": "air-1", "driver": "dust", "port": "/dev/ttyUSB0", "interval_s": 10}],
}


def key(name: str) -> bytes:
    """The public key of this name."""
    return hashlib.sha256(name.encode()).digest()


def signature(name: str, message: bytes) -> bytes:
    """What the owner of the key makes of a message."""
    return hashlib.sha512(key(name) + message).digest()


def envelope(
    body: bytes, signers: Iterable[str], kind: str = CONFIG_TYPE, signed_kind: str | None = None
) -> dict[str, Any]:
    """An envelope as JSON has it. ``signed_kind``: the type that the signatures are over, if it is another one."""
    message = pre_authentication(signed_kind or kind, body)
    signatures = [{"keyid": name, "sig": base64.b64encode(signature(name, message)).decode()} for name in signers]
    return {"payloadType": kind, "payload": base64.b64encode(body).decode(), "signatures": signatures}


def document(**changes: Any) -> dict[str, Any]:
    """A configuration document that is right, but for the changes; a key that is ``...`` is left out."""
    whole: dict[str, Any] = {
        "target": {"gateways": [GATEWAY]},
        "version": 18,
        "issued": rfc_3339(NOW_MS - DAY_MS),
        "expires": rfc_3339(NOW_MS + 30 * DAY_MS),
        "config": CONFIG,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def message(body: bytes | Mapping[str, Any] | None = None, signers: Iterable[str] = ("ayu", "budi")) -> bytes:
    """A message of ``config/desired``."""
    raw = body if isinstance(body, bytes) else json.dumps(document() if body is None else body).encode()
    return json.dumps(envelope(raw, signers)).encode()


def root(version: int = 1, **changes: Any) -> Root:
    """A root: two of three for the role root, two of ayu, budi, citra for configurations, eka alone for commands.

    The changes are fields of :class:`Root`, or a role's name with (keys, threshold).
    """
    roles = {"root": ("ayu budi citra", 2), "config": ("ayu budi citra", 2), "command": ("eka", 1)}
    roles |= {name: changes.pop(name) for name in tuple(changes) if name in roles}
    values: dict[str, Any] = {"issued_ms": NOW_MS - 10 * DAY_MS, "expires_ms": NOW_MS + 365 * DAY_MS, "floor": None}
    made = {name: Role(tuple(key(one) for one in names.split()), least) for name, (names, least) in roles.items()}
    bare = Root(version, roles=made, **(values | changes))
    return Root(
        version, bare.issued_ms, bare.expires_ms, made, bare.floor, hashlib.sha256(encode_root(bare)).hexdigest()
    )


def chain(*roots: tuple[Root, str]) -> bytes:
    """A message of ``config/trust``: roots with the names of those who signed them."""
    return json.dumps([envelope(encode_root(one), names.split(), TRUST_TYPE) for one, names in roots]).encode()


@dataclass
class Verifier:
    """Answers checks of the stand-in scheme, and remembers how many it was asked."""

    batches: list[int] = field(default_factory=list)

    def answers(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        """One answer for each."""
        self.batches.append(len(checks))
        return [hashlib.sha512(check.key + check.message).digest() == check.signature for check in checks]

    def run(self, decision: VerificationSteps[T]) -> T:
        """Bring a decision to its end."""
        try:
            asked = next(decision)
            while True:
                asked = decision.send(self.answers(asked))
        except StopIteration as end:
            result: T = end.value
            return result


def toml(tables: Mapping[str, Any]) -> str:
    """A file with these tables."""
    return "".join(f"{name} = {_inline(value)}\n" for name, value in tables.items())


def _inline(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_inline(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def local_files(overlay: Mapping[str, Any] | None = None, base: Mapping[str, Any] = BASE) -> Generation:
    """The gateway's own files, and no payload."""
    return Generation(toml(base), toml(overlay or {}))


def standing(**changes: Any) -> GatewayContext:
    """A gateway at version 17, of which nothing is special but for the changes."""
    values: dict[str, Any] = {
        "gateway": GATEWAY,
        "agent": "0.4.0",
        "trust": root(),
        "mark": Mark(17, "17" * 32, NOW_MS - 40 * DAY_MS),
        "trusted_time": TrustedTime(NOW_MS, True, NOW_MS - 40 * DAY_MS),
    }
    return GatewayContext(**(values | changes))


def outcome(
    raw: bytes,
    at: GatewayContext | None = None,
    overlay: Mapping[str, Any] | None = None,
    verifier: Verifier | None = None,
) -> Accepted | NoChange:
    """What a gateway decides about a message. Raises :class:`RejectedError`."""
    return (verifier or Verifier()).run(examine(raw, at or standing(), local_files(overlay), FakeCatalog()))


def refused(raw: bytes, at: GatewayContext | None = None, overlay: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """Code and path of the refusal; empty where there is none."""
    try:
        outcome(raw, at, overlay)
    except RejectedError as error:
        return error.code, error.path
    return "", ""
