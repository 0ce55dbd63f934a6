"""What gateways report about themselves, for maintainers. Pure.

All of it is untrusted, since a gateway may be stolen. It is parsed strictly and bounded, and its texts are one visible
line each. A message that cannot be parsed counts as absent and is listed in :attr:`Fleet.unreadable`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.base.codes import Rejection
from agent.base.display import one_line
from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.base.strict_json import loads
from agent.delivery import wire
from agent.delivery.policies.batch_rules import is_name, is_sequence_number

_DEPTH = 4
"""Gateways are found if their topic root has at most this many levels."""
_MAX_GATEWAYS = 50_000
_MAX_BYTES = 65_536
_LAST_MS = 253_402_300_799_999
_STATES = ("applied", "probation", "confirmed", "rejected", "rolled_back")
_HASH = re.compile(r"([0-9a-f]{2}){0,32}")


def filters(*leaves: str) -> list[str]:
    """Return topic filters that match these topics of every gateway."""
    return [f"{'+/' * depth}v{wire.VERSION}/+/+/+/{leaf}" for depth in range(1, _DEPTH + 1) for leaf in leaves]


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """A gateway's ``config/reported``. It is a claim without proof.

    ``version`` and ``hash`` belong to the newest accepted configuration or, if ``state`` is ``rejected``, to the
    rejected one if it is known; ``running`` belongs to the running one. ``code`` and ``cause`` are empty if there is no
    cause.
    """

    version: int
    hash: str
    state: str
    code: str
    cause: str
    running: tuple[int, str]
    drift: tuple[str, ...]
    trust_version: int
    t: int


@dataclass(slots=True)
class ReportedGateway:
    """The retained messages of a gateway at one path. ``t``: time of its ``state``; ``agent``: its release."""

    name: str
    base: str
    present: bool = False
    online: bool = False
    agent: str = ""
    t: int = 0
    report: GatewayReport | None = None
    reported: bytes = b""
    desired: bytes = b""

    @property
    def last_ms(self) -> int:
        """When it last sent a message, as far as these topics show."""
        return max(self.t, self.report.t if self.report else 0)


@dataclass(slots=True)
class Fleet:
    """Every gateway that has published its ``state``. ``unreadable``: by topic, one line for each message that cannot
    be parsed."""

    by_path: dict[str, ReportedGateway] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def on_message(self, topic: str, payload: bytes) -> None:
        """Record a message."""
        address = wire.parse_topic(topic)
        if address is None or not is_name(address.gateway) or not is_name(address.site):
            return
        base = topic.removesuffix(f"/{address.leaf}")
        if base not in self.by_path and len(self.by_path) >= _MAX_GATEWAYS:
            return
        gateway = self.by_path.setdefault(base, ReportedGateway(address.gateway, base))
        self.unreadable.pop(topic, None)
        if address.leaf == "config/desired":
            gateway.desired = payload
            return
        try:
            message = _decode(payload)
            report = _parse_report(message) if message is not None and address.leaf == "config/reported" else None
        except RejectedError as error:
            message, report = None, None
            self.unreadable[topic] = _("{name}: cannot read its {leaf}: {why}").format(
                name=gateway.name, leaf=address.leaf, why=one_line(str(error))
            )
        if address.leaf == "state":
            gateway.present = message is not None
            gateway.online = message is not None and message.get("online") is True
            gateway.agent = _text((message or {}).get("agent"), 32)
            gateway.t = _time((message or {}).get("t"))
        elif address.leaf == "config/reported":
            gateway.reported, gateway.report = payload, report

    def on_connect(self) -> None:
        """Forget the configurations retained at the broker. It sends them again if it still has them."""
        for gateway in self.by_path.values():
            gateway.desired = b""

    def get(self, name: str) -> ReportedGateway | None:
        """Return a gateway. If it has moved and left messages behind, return it at its present path."""
        found = [gateway for gateway in self.by_path.values() if gateway.name == name and gateway.present]
        return max(found, key=lambda gateway: (gateway.online, gateway.t), default=None)

    def names(self) -> list[str]:
        """Return the ids of all gateways, sorted."""
        return sorted({gateway.name for gateway in self.by_path.values() if gateway.present})


def _decode(payload: bytes) -> Mapping[str, Any] | None:
    """Decode a JSON message; return ``None`` for an empty one. Raises :class:`RejectedError`."""
    if not payload:
        return None
    message = loads(payload, _MAX_BYTES)
    if not isinstance(message, dict) or message.get("v") != wire.VERSION:
        raise _unreadable("v")
    return message


def _parse_report(message: Mapping[str, Any]) -> GatewayReport:
    """Parse ``config/reported``. Raises :class:`RejectedError`."""
    running, drift, state = message.get("running"), message.get("drift"), message.get("state")
    if not isinstance(running, dict):
        raise _unreadable("running")
    if not isinstance(drift, list):
        raise _unreadable("drift")
    if state not in _STATES:
        raise _unreadable("state")
    code, cause = _cause(message.get("cause"))
    return GatewayReport(
        _version(message, "version"),
        _hash(message),
        str(state),
        code,
        cause,
        (_version(running, "version"), _hash(running)),
        tuple(_text(path, 100) for path in drift[:100]),
        _version(message, "trust_version"),
        _time(message.get("t")),
    )


def _version(table: Mapping[str, Any], key: str) -> int:
    value = table.get(key)
    if not is_sequence_number(value):
        raise _unreadable(key)
    return value


def _hash(table: Mapping[str, Any]) -> str:
    value = table.get("hash")
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise _unreadable("hash")
    return value


def _cause(value: object) -> tuple[str, str]:
    """Return the code of a cause, and the whole cause as one line."""
    if not isinstance(value, dict):
        return "", ""
    code, path = _text(value.get("code"), 32), _text(value.get("path"), 200)
    where = f" ({path})" if path else ""
    return code, f"{code}: {_text(value.get('message'), 300)}{where}"


def _time(value: object) -> int:
    return value if is_sequence_number(value) and value <= _LAST_MS else 0


def _text(value: object, max_chars: int) -> str:
    return one_line(value, max_chars) if isinstance(value, str) else ""


def _unreadable(path: str) -> RejectedError:
    return RejectedError(Rejection.MALFORMED, _("does not follow the wire contract"), path)
