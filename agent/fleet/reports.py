"""What gateways report of themselves, as a maintainer reads it. Pure.

All of it is foreign: a gateway may be stolen. It is read strictly and bounded, its texts are one visible line each, and
what cannot be read counts as not there and is named in :attr:`Fleet.strange`.
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
"""Levels that the topic root may have for a gateway to be found."""
_MOST_GATEWAYS = 50_000
_MOST_BYTES = 65_536
_LAST_MS = 253_402_300_799_999
_STATES = ("applied", "probation", "confirmed", "rejected", "rolled_back")
_HASH = re.compile(r"([0-9a-f]{2}){0,32}")


def filters(*leaves: str) -> list[str]:
    """What to subscribe to for these topics of every gateway."""
    return [f"{'+/' * depth}v{wire.VERSION}/+/+/+/{leaf}" for depth in range(1, _DEPTH + 1) for leaf in leaves]


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """``config/reported``. ``version`` and ``hash`` are of the newest configuration that was accepted, or where
    ``state`` is ``rejected`` of the one that was not (if that is known); ``running``: of what runs; ``code`` and
    ``cause``: why, empty where there is nothing to say. A gateway claims this; nothing proves it."""

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
    """What stands retained of a gateway at one path. ``t``: of its ``state``; ``agent``: its release."""

    name: str
    base: str
    there: bool = False
    online: bool = False
    agent: str = ""
    t: int = 0
    report: GatewayReport | None = None
    reported: bytes = b""
    desired: bytes = b""

    @property
    def last_ms(self) -> int:
        """When it spoke last, as far as these topics show."""
        return max(self.t, self.report.t if self.report else 0)


@dataclass(slots=True)
class Fleet:
    """Every gateway that has told its ``state``, or ever did. ``strange``: by topic, a line for each message that
    cannot be read."""

    at: dict[str, ReportedGateway] = field(default_factory=dict)
    strange: dict[str, str] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes) -> None:
        """Note a message."""
        address = wire.parse_topic(topic)
        if address is None or not is_name(address.gateway) or not is_name(address.site):
            return
        base = topic.removesuffix(f"/{address.leaf}")
        if base not in self.at and len(self.at) >= _MOST_GATEWAYS:
            return
        one = self.at.setdefault(base, ReportedGateway(address.gateway, base))
        self.strange.pop(topic, None)
        if address.leaf == "config/desired":
            one.desired = payload
            return
        try:
            message = _decoded(payload)
            report = _report(message) if message is not None and address.leaf == "config/reported" else None
        except RejectedError as error:
            message, report = None, None
            self.strange[topic] = _("{name}: cannot read its {leaf}: {why}").format(
                name=one.name, leaf=address.leaf, why=one_line(str(error))
            )
        if address.leaf == "state":
            one.there = message is not None
            one.online = message is not None and message.get("online") is True
            one.agent = _text((message or {}).get("agent"), 32)
            one.t = _time((message or {}).get("t"))
        elif address.leaf == "config/reported":
            one.reported, one.report = payload, report

    def begin(self) -> None:
        """A new connection: what the broker keeps for the gateways may be gone, and comes again if it is not."""
        for one in self.at.values():
            one.desired = b""

    def get(self, name: str) -> ReportedGateway | None:
        """A gateway; of one that has moved and left something behind, the path at which it is now."""
        found = [one for one in self.at.values() if one.name == name and one.there]
        return max(found, key=lambda one: (one.online, one.t), default=None)

    def names(self) -> list[str]:
        """All gateways."""
        return sorted({one.name for one in self.at.values() if one.there})


def _decoded(payload: bytes) -> Mapping[str, Any] | None:
    """A JSON message; ``None`` for an empty one. Raises :class:`RejectedError`."""
    if not payload:
        return None
    message = loads(payload, _MOST_BYTES)
    if not isinstance(message, dict) or message.get("v") != wire.VERSION:
        raise _unreadable("v")
    return message


def _report(message: Mapping[str, Any]) -> GatewayReport:
    """Raises :class:`RejectedError`."""
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
        tuple(_text(one, 100) for one in drift[:100]),
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
    """Its code, and all of it as one line."""
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
