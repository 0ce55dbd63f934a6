"""A maintainer with real keys: makes the first trust and signs configurations for a gateway."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.base.timekeeping.trusted_time import rfc_3339
from agent.fleet.io import signing_key
from agent.update.signed import dsse, trust
from agent.update.signed.trust import Role, Root
from tests.support.agent_process import GATEWAY

_DAY_MS = 86_400_000


class Maintainer:
    """Its keys lie in ``folder``. One key a role."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._keys = {role: signing_key.create(folder / f"{role}.key") for role in ("root", "config", "command")}
        now = round(1000 * datetime.now(UTC).timestamp())
        roles = {role: Role((key.public,), 1) for role, key in self._keys.items()}
        self.root = Root(1, now - _DAY_MS, now + 365 * _DAY_MS, roles, None, "")

    def key_file(self, role: str) -> Path:
        """The file of a private key."""
        return self._folder / f"{role}.key"

    def command(self, asked: Mapping[str, Any]) -> bytes:
        """A signed command."""
        return dsse.encode(self._signed(dsse.COMMAND_TYPE, json.dumps(asked).encode(), "command"))

    def trust(self) -> bytes:
        """The ``trust.json`` that a technician installs."""
        return trust.encode_chain([self._signed(trust.TRUST_TYPE, trust.encode_root(self.root), "root")])

    def chain(self, last: int, first: int = 1) -> bytes:
        """A list of roots as ``config/trust`` carries it: roots of these versions, which change nothing."""
        roots = [replace(self.root, version=version) for version in range(first, last + 1)]
        return trust.encode_chain([self._signed(trust.TRUST_TYPE, trust.encode_root(one), "root") for one in roots])

    def configuration(self, version: int, config: Mapping[str, Any], **more: Any) -> bytes:
        """A signed message for ``config/desired``."""
        now = datetime.now(UTC)
        document = {
            "target": {"gateways": [GATEWAY]},
            "version": version,
            "config": config,
            "issued": rfc_3339(round(1000 * now.timestamp())),
            "expires": rfc_3339(round(1000 * (now + timedelta(days=30)).timestamp())),
            **more,
        }
        return dsse.encode(self._signed(dsse.CONFIG_TYPE, json.dumps(document).encode(), "config"))

    def signed(self, kind: str, payload: bytes, role: str) -> bytes:
        """Any payload, whatever it is, in a signed envelope."""
        return dsse.encode(self._signed(kind, payload, role))

    def _signed(self, kind: str, payload: bytes, role: str) -> dict[str, object]:
        key = self._keys[role]
        return dsse.to_json(kind, payload, {key.public: key.sign(dsse.pre_authentication(kind, payload))})
