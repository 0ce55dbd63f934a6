"""The signed document of a configuration: encoding and strict parsing. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.strict_json import MAX_BYTES, loads
from agent.base.timekeeping.trusted_time import rfc_3339, unix_ms
from agent.config.layers import Tables

CONFIRM_S = 300
_MAX_GATEWAYS = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_AGENT = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?.{0,32}", re.ASCII)
_REQUIRED = frozenset({"target", "version", "issued", "expires", "config"})
_OPTIONAL = frozenset({"min_agent", "confirm_s"})


@dataclass(frozen=True, slots=True)
class Document:
    """The payload of a configuration. ``hash``: SHA-256 of its bytes, in hex."""

    gateways: tuple[str, ...]
    version: int
    issued_ms: int
    expires_ms: int
    config: Tables
    hash: str
    min_agent: str = "0.0"
    confirm_s: float = CONFIRM_S


def fingerprint(raw: bytes) -> str:
    """Return the SHA-256 in hex, which identifies messages and payloads."""
    return hashlib.sha256(raw).hexdigest()


def encode_document(
    config: Tables,
    gateways: Sequence[str],
    version: int,
    issued_ms: int,
    expires_ms: int,
    confirm_s: float = CONFIRM_S,
    min_agent: str = "",
) -> bytes:
    """Return the payload to sign. Raises :class:`RejectedError` for what every gateway would reject, and
    :class:`TypeError` for a value that JSON does not have (TOML has dates)."""
    document: dict[str, object] = {
        "target": {"gateways": list(gateways)},
        "version": version,
        "issued": rfc_3339(issued_ms),
        "expires": rfc_3339(expires_ms),
        "confirm_s": confirm_s,
    }
    if min_agent:
        document["min_agent"] = min_agent
    payload = json.dumps({**document, "config": config}, ensure_ascii=False).encode()
    parse_document(payload)
    return payload


def parse_document(payload: bytes) -> Document:
    """Parse a payload strictly. Raises :class:`RejectedError`: ``malformed``, ``duplicate_keys``, ``target``."""
    table = loads(payload, MAX_BYTES)
    if not isinstance(table, dict):
        raise _malformed("")
    for key in sorted(_REQUIRED - table.keys()) + sorted(table.keys() - _REQUIRED - _OPTIONAL):
        raise _malformed(key[:64])
    version, issued, expires = table["version"], unix_ms(table["issued"]), unix_ms(table["expires"])
    confirm_s, min_agent = table.get("confirm_s", CONFIRM_S), table.get("min_agent", "0.0")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _malformed("version")
    if issued is None:
        raise _malformed("issued")
    if expires is None:
        raise _malformed("expires")
    if not isinstance(confirm_s, int | float) or isinstance(confirm_s, bool) or not 1 <= confirm_s <= 86_400:
        raise _malformed("confirm_s")
    if not isinstance(min_agent, str) or not _AGENT.fullmatch(min_agent):
        raise _malformed("min_agent")
    if not isinstance(table["config"], dict):
        raise _malformed("config")
    gateways = _gateways(table["target"])
    digest = fingerprint(payload)
    return Document(gateways, version, issued, expires, table["config"], digest, min_agent, float(confirm_s))


def check_target(document: Document, gateway: str) -> None:
    """Raise :class:`RejectedError`: ``target``."""
    if gateway not in document.gateways:
        raise RejectedError(Rejection.TARGET, _("not meant for {gateway}").format(gateway=gateway), "target.gateways")


def release(version: str) -> tuple[int, ...]:
    """Return a version of the agent in a form that can be compared."""
    found = _AGENT.fullmatch(version)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def _gateways(target: object) -> tuple[str, ...]:
    """Return the gateways that a document is for. Only names are valid: a gateway does not know any groups."""
    names = target.get("gateways") if isinstance(target, Mapping) and target.keys() == {"gateways"} else None
    if not isinstance(names, list) or not 0 < len(names) <= _MAX_GATEWAYS:
        raise RejectedError(Rejection.TARGET, _("a target must be a list of gateways"), "target")
    for at, name in enumerate(names):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise RejectedError(Rejection.TARGET, _("a target must be a list of gateways"), f"target.gateways[{at}]")
    return tuple(names)


def _malformed(path: str) -> RejectedError:
    return RejectedError(Rejection.MALFORMED, _("not a valid configuration document"), path)
