"""Prepares and signs commands, which several people may sign on different machines."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from agent.base.display import json_text, one_line
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.strict_json import loads
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.cli.shared.maintainer_files import CommandFailed
from agent.commands.command import is_command_id
from agent.commands.registry import COMMANDS, max_bytes
from agent.delivery.policies.batch_rules import is_name, is_sequence_number
from agent.update.signed import dsse as dsse
from agent.update.signed.dsse import COMMAND_TYPE

if TYPE_CHECKING:
    from agent.fleet.io.signing_key import SigningKey


@dataclass(frozen=True, slots=True)
class PreparedCommand:
    """A command for one gateway, ready to send. ``payload``: the message; ``signatures``: number of signatures."""

    gateway: str
    name: str
    id: str
    expires_ms: int
    arguments: Mapping[str, Any]
    payload: bytes
    signatures: int = 0

    def __str__(self) -> str:
        words = [f"{one_line(key)}={one_line(json_text(value))}" for key, value in self.arguments.items()]
        return _("{gateway}: {command}, signatures: {count}, expires {date} (valid for at most 10 minutes)").format(
            gateway=self.gateway,
            command=" ".join([self.name, *words]),
            count=self.signatures,
            date=rfc_3339(self.expires_ms),
        )


def prepare(
    gateway: str, name: str, arguments: Mapping[str, Any], keys: "Sequence[SigningKey]", lifetime_s: float
) -> PreparedCommand:
    """Prepare a command, signed if there are keys. Raises :class:`CommandFailed` if it is too long."""
    identity, expires_ms = token_hex(8), int(1000 * (time.time() + lifetime_s))
    body = {"id": identity, "exp": expires_ms, **arguments}
    payload = json.dumps(body).encode()
    if keys:
        inner = json.dumps({**body, "command": name, "gateway": gateway}).encode()
        signed = dsse.pre_authentication(COMMAND_TYPE, inner)
        payload = dsse.encode(dsse.to_json(COMMAND_TYPE, inner, {key.public: key.sign(signed) for key in keys}))
    _check_length(name, payload)
    return PreparedCommand(gateway, name, identity, expires_ms, arguments, payload, len(keys))


def parse_prepared(raw: bytes, path: Path) -> PreparedCommand:
    """Parse a signed command, without verifying signatures. Raises :class:`CommandFailed`."""
    try:
        found = dsse.parse(raw)
        if found.payload_type != COMMAND_TYPE:
            raise CommandFailed(_("{file} is not a signed command").format(file=path))
        body = loads(found.payload, max_bytes("plan"))
    except RejectedError as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error
    if not isinstance(body, dict):
        raise CommandFailed(_("{file} is not a signed command").format(file=path))
    gateway, name, identity, expires_ms = (body.pop(key, None) for key in ("gateway", "command", "id", "exp"))
    if not is_name(gateway) or name not in COMMANDS or not is_sequence_number(expires_ms):
        raise CommandFailed(_("{file} is not a signed command").format(file=path))
    if not isinstance(identity, str) or not is_command_id(identity):
        raise CommandFailed(_("{file} is not a signed command").format(file=path))
    if expires_ms <= 1000 * time.time():
        text = _("{file}: expired on {date}; a signed command is valid for at most 10 minutes").format(
            file=path, date=rfc_3339(expires_ms)
        )
        raise CommandFailed(text)
    return PreparedCommand(gateway, str(name), identity, expires_ms, body, raw.strip(), len(found.signatures))


def countersign(prepared: PreparedCommand, keys: "Sequence[SigningKey]", path: Path) -> PreparedCommand:
    """Return the command with additional signatures. Raises :class:`CommandFailed` if it is too long."""
    if not keys:
        return prepared
    signed = dsse.parse(prepared.payload).signed
    entries = dsse.countersign(json.loads(prepared.payload), {key.public: key.sign(signed) for key in keys})
    payload = dsse.encode(entries)
    _check_length(prepared.name, payload)
    return parse_prepared(payload, path)


def _check_length(name: str, payload: bytes) -> None:
    limit = max_bytes(name)
    if len(payload) > limit:
        raise CommandFailed(_("the command is too long; the limit is {count} bytes").format(count=limit))
