"""A command from the city: a message to ``command/{name}``, parsed strictly."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.base.errors import RejectedError
from agent.base.strict_json import loads
from agent.commands.registry import max_bytes

_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Command:
    """``arguments``: every key but ``id`` and ``exp``. ``expires_ms``: 0 where ``exp`` is missing or not an integer.

    ``envelope``: the signed envelope that it came in, or empty; trust nothing in it before that is verified.
    ``fault``: why it cannot be parsed; then only ``id`` and ``name`` are valid.
    """

    id: str
    name: str
    expires_ms: int
    arguments: Mapping[str, Any]
    envelope: bytes = b""
    fault: str = ""

    def is_addressed_to(self, gateway: str) -> bool:
        """Return whether a signed command names itself and this gateway: otherwise it is a replay from elsewhere."""
        return self.arguments.get("command") == self.name and self.arguments.get("gateway") == gateway


def parse_command(name: str, payload: bytes) -> Command | None:
    """Parse a message to ``command/{name}``; return ``None`` where no reply is possible, for lack of a usable id."""
    limit = max_bytes(name)
    message = _object(payload) if len(payload) <= limit else None
    envelope = b""
    if message is not None and "payloadType" in message:
        inner = message.get("payload")
        envelope, payload = payload, _decoded(inner) if isinstance(inner, str) else b""
        message = _object(payload)
    if message is None:
        return None
    identity, expires = message.pop("id", None), message.pop("exp", None)
    if not isinstance(identity, str) or not is_command_id(identity):
        return None
    try:
        loads(payload, limit)
    except RejectedError as error:
        return Command(identity, name, 0, {}, fault=error.message)
    has_expiry = isinstance(expires, int) and not isinstance(expires, bool)
    return Command(identity, name, expires if has_expiry else 0, message, envelope)


def is_command_id(text: str) -> bool:
    """Return whether a text can be the id of a command: it becomes a level of the reply's topic."""
    return _ID.fullmatch(text) is not None


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
