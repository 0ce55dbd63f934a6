"""Commands as they are sent: made and signed at one desk, or at several."""

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
from agent.base.trusted_time import rfc_3339
from agent.cli.shared.maintainer_files import CommandFailed
from agent.commands.command import is_command_id
from agent.commands.registry import COMMANDS, max_bytes
from agent.delivery.policies.batch_rules import is_name, is_sequence_number
from agent.update.signed import dsse as dsse
from agent.update.signed.dsse import COMMAND_TYPE

if TYPE_CHECKING:
    from agent.fleet.io.signing_key import SigningKey


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command for one gateway, ready to be sent. ``payload``: the message; ``signatures``: how many are under it."""

    gateway: str
    name: str
    id: str
    expires_ms: int
    arguments: Mapping[str, Any]
    payload: bytes
    signatures: int = 0

    def __str__(self) -> str:
        words = [f"{one_line(key)}={one_line(json_text(value))}" for key, value in self.arguments.items()]
        return _("{gateway}: {command}, signatures: {count}, expires {date} (at most 10 minutes)").format(
            gateway=self.gateway,
            command=" ".join([self.name, *words]),
            count=self.signatures,
            date=rfc_3339(self.expires_ms),
        )


def prepared(
    gateway: str, name: str, arguments: Mapping[str, Any], keys: "Sequence[SigningKey]", lifetime_s: float
) -> Prepared:
    """Make a command, signed where there are keys. Raises :class:`CommandFailed` where it is too long."""
    identity, expires_ms = token_hex(8), int(1000 * (time.time() + lifetime_s))
    asked = {"id": identity, "exp": expires_ms, **arguments}
    payload = json.dumps(asked).encode()
    if keys:
        inner = json.dumps({**asked, "command": name, "gateway": gateway}).encode()
        signed = dsse.pre_authentication(COMMAND_TYPE, inner)
        payload = dsse.encode(dsse.to_json(COMMAND_TYPE, inner, {key.public: key.sign(signed) for key in keys}))
    _check_length(name, payload)
    return Prepared(gateway, name, identity, expires_ms, arguments, payload, len(keys))


def read_prepared(raw: bytes, path: Path) -> Prepared:
    """A signed command that was made at another desk; no signature is verified. Raises :class:`CommandFailed`."""
    try:
        found = dsse.parse(raw)
        if found.payload_type != COMMAND_TYPE:
            raise CommandFailed(_("{file} is not a signed command").format(file=path))
        asked = loads(found.payload, max_bytes("plan"))
    except RejectedError as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error
    if not isinstance(asked, dict):
        raise CommandFailed(_("{file} is not a signed command").format(file=path))
    gateway, name, identity, expires_ms = (asked.pop(key, None) for key in ("gateway", "command", "id", "exp"))
    if not is_name(gateway) or name not in COMMANDS or not is_sequence_number(expires_ms):
        raise CommandFailed(_("{file} is not a signed command").format(file=path))
    if not isinstance(identity, str) or not is_command_id(identity):
        raise CommandFailed(_("{file} is not a signed command").format(file=path))
    if expires_ms <= 1000 * time.time():
        text = _("{file}: expired on {date}; a signed command is valid for at most 10 minutes").format(
            file=path, date=rfc_3339(expires_ms)
        )
        raise CommandFailed(text)
    return Prepared(gateway, str(name), identity, expires_ms, asked, raw.strip(), len(found.signatures))


def countersigned(one: Prepared, keys: "Sequence[SigningKey]", path: Path) -> Prepared:
    """The same command with these signatures as well. Raises :class:`CommandFailed` where it is too long."""
    if not keys:
        return one
    signed = dsse.parse(one.payload).signed
    entries = dsse.countersign(json.loads(one.payload), {key.public: key.sign(signed) for key in keys})
    payload = dsse.encode(entries)
    _check_length(one.name, payload)
    return read_prepared(payload, path)


def _check_length(name: str, payload: bytes) -> None:
    limit = max_bytes(name)
    if len(payload) > limit:
        raise CommandFailed(_("too long for a command: at most {count} bytes").format(count=limit))
