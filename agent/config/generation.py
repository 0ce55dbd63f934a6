"""The parts of a configuration, and why a configuration is not the desired one. Pure."""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that makes a configuration: both files of the gateway, and the accepted payload, if any."""

    base: str
    overlay: str = ""
    payload: str | None = None

    def encoded(self) -> bytes:
        """Return the bytes that are stored."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def decoded(cls, raw: bytes) -> "Generation":
        """Decode what :meth:`encoded` returned. Raises :class:`ValueError`."""
        table = json.loads(raw)
        if not isinstance(table, dict):
            raise ValueError("no generation")
        base, overlay, payload = table.get("base"), table.get("overlay"), table.get("payload")
        if not isinstance(base, str) or not isinstance(overlay, str) or not isinstance(payload, str | None):
            raise ValueError("no generation")
        return cls(base, overlay, payload)

    @property
    def name(self) -> str:
        """Its own name: 32 hex digits, from its content."""
        return hashlib.sha256(self.encoded()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a configuration is not the desired one, as in ``config/reported``."""

    code: str
    message: str
    path: str = ""
