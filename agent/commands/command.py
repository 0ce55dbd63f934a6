"""A command from the city: read, and judged before anything is done. Pure."""

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agent.base.errors import RejectedError
from agent.base.strict_json import loads

COMMANDS = frozenset(
    [
        "ping",
        "read",
        "flush",
        "resend",
        "plan",
        "diagnostics",
        "restart",
        "output",
        "renew",
        "certificate",
    ]
)
GUARDED = frozenset({"restart", "output", "flush"})
"""Those with an effect on the site: off unless the gateway's own file allows them."""
SEALED = frozenset({"renew", "certificate"})
"""Those that are signed always: who owns the broker must not be able to give a gateway a worthless certificate."""
MAX_BYTES = 65_536
PLAN_BYTES = 131_072
"""``plan`` carries an envelope, which may itself have 64 KiB, as a text in JSON."""
LIFETIME_MS = 600_000
"""How far ahead a signed command may expire: its id is kept until then."""
_EARLY_MS = 60_000
_MAX_NAME_CHARS = 64
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Command:
    """``arguments``: what stands beside ``id`` and ``exp``. ``sealed``: the signed envelope that it came in, if it did;
    nothing in it is to be believed before that is verified. ``fault``: why it cannot be read; nothing but the id counts
    then."""

    id: str
    name: str
    expires_ms: int
    arguments: Mapping[str, Any]
    sealed: bytes = b""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command is not carried out: ``rejected`` or ``expired``, and a sentence."""

    status: str
    detail: str


def read(name: str, payload: bytes) -> Command | None:
    """The command in a message to ``command/{name}``; ``None`` where it cannot even be answered (no usable id)."""
    most = most_bytes(name)
    message = _table(payload) if len(payload) <= most else None
    sealed = b""
    if message is not None and "payloadType" in message:
        inner = message.get("payload")
        sealed, payload = payload, _unwrapped(inner) if isinstance(inner, str) else b""
        message = _table(payload)
    if message is None:
        return None
    identity, expires = message.pop("id", None), message.pop("exp", None)
    if not isinstance(identity, str) or not is_id(identity):
        return None
    known = isinstance(expires, int) and not isinstance(expires, bool)
    try:
        loads(payload, most)
    except RejectedError as error:
        return Command(identity, name, 0, {}, fault=error.message)
    return Command(identity, name, expires if known else 0, message, sealed)


def is_id(text: str) -> bool:
    """Whether this can be the id of a command: it becomes a level of the reply's topic."""
    return _ID.fullmatch(text) is not None


def most_bytes(name: str) -> int:
    """How long a message to ``command/{name}`` may be."""
    return PLAN_BYTES if name == "plan" else MAX_BYTES


def meant(command: Command, gateway: str) -> bool:
    """Whether a signed command names itself and this gateway: else it could be played again elsewhere."""
    return command.arguments.get("command") == command.name and command.arguments.get("gateway") == gateway


def _table(payload: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _unwrapped(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def judge(
    command: Command, now_ms: int, clock_is_set: bool, allowed: Collection[str], signed: bool, needed: bool = True
) -> Refusal | None:
    """Why a command must not be carried out; ``None`` where nothing is against it.

    ``allowed``: guarded commands that this gateway's own file names. ``signed``: whether it came in a valid envelope.
    ``needed``: whether guarded commands must.
    """
    if command.fault:
        return Refusal("rejected", command.fault)
    if command.name not in COMMANDS:
        return Refusal("rejected", "there is no such command")
    if command.name in SEALED and not signed:
        return Refusal("rejected", "it must be signed")
    if command.name in GUARDED:
        if command.name not in allowed:
            return Refusal("rejected", "this gateway does not allow it")
        if needed and not signed:
            return Refusal("rejected", "it must be signed")
        if not clock_is_set:
            return Refusal("rejected", "the clock of the gateway is not set")
    if not command.expires_ms:
        return Refusal("rejected", "exp is missing")
    if clock_is_set and command.expires_ms <= now_ms:
        return Refusal("expired", "its time is over")
    if clock_is_set and signed and command.expires_ms > now_ms + LIFETIME_MS + _EARLY_MS:
        return Refusal("rejected", "a signed command expires within 10 minutes")
    return None


def text(command: Command, key: str) -> str:
    """A text argument. Raises :class:`ValueError`, with a sentence."""
    value = command.arguments.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing or no text")
    return value


def name_of(command: Command, key: str) -> str:
    """A name: a text that may stand in a reply, since it is short. Raises :class:`ValueError`, with a sentence."""
    value = text(command, key)
    if len(value) > _MAX_NAME_CHARS or not value.isprintable():
        raise ValueError(f"{key} is no name")
    return value


def level(command: Command, key: str) -> bool:
    """0 or 1, or false or true: how a line is to stand. Raises :class:`ValueError`, with a sentence."""
    value = command.arguments.get(key)
    if not isinstance(value, int) or value not in (0, 1):
        raise ValueError(f"{key} must be 0 or 1")
    return bool(value)


def envelope(command: Command, key: str) -> bytes:
    """A signed envelope: its text, or the JSON that it is. Raises :class:`ValueError`, with a sentence."""
    value = command.arguments.get(key)
    if isinstance(value, str) and value:
        return value.encode()
    if isinstance(value, dict):
        return json.dumps(value).encode()
    raise ValueError(f"{key} is missing or no envelope")


def number(command: Command, key: str) -> int:
    """A whole number that is not negative. Raises :class:`ValueError`, with a sentence."""
    value = command.arguments.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**53:
        raise ValueError(f"{key} is missing or no whole number")
    return value
