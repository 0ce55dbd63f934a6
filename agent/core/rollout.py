"""What a fleet tells of itself, and how far a change has come on each gateway. Pure."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.core import wire
from agent.core.config_document import Document, read_document, written_document
from agent.core.config_words import CONTROL
from agent.core.envelope import CONFIG_TYPE, parse, pre_authentication, table, written
from agent.core.refusal import Refused
from agent.core.remote_config import Tables
from agent.core.text import say

_DEPTH = 4
"""Levels that the topic root may have for a gateway to be found."""

Sign = Callable[[bytes], Mapping[bytes, bytes]]
"""The signatures of a message, by public key."""


def filters(*leaves: str) -> list[str]:
    """What to subscribe to for these topics of every gateway."""
    return [f"{'+/' * depth}v{wire.VERSION}/+/+/+/{leaf}" for depth in range(1, _DEPTH + 1) for leaf in leaves]


@dataclass(frozen=True, slots=True)
class Report:
    """``config/reported``. ``version`` and ``hash`` are of the newest configuration that was accepted, or where
    ``state`` is ``rejected`` of the one that was not (if that is known); ``running``: of what runs; ``cause``: one
    line, empty where there is none."""

    version: int
    hash: str
    state: str
    cause: str
    running: tuple[int, str]
    drift: tuple[str, ...]
    trust_version: int
    t: int
    certificate_ms: int = 0
    """When the gateway's certificate ends, in Unix milliseconds; 0 where it has not told."""

    @property
    def reached(self) -> int:
        """The version above which the gateway takes another one, as far as this shows."""
        # What was refused for its version says nothing of where the gateway stands.
        if self.state == "rejected" and self.cause.startswith(("jump:", "rollback:")):
            return self.running[0]
        return max(self.version, self.running[0])


@dataclass(slots=True)
class Gateway:
    """What stands retained of a gateway at one path. ``t``: of its ``state``; ``agent``: its release."""

    name: str
    base: str
    there: bool = False
    online: bool = False
    agent: str = ""
    t: int = 0
    report: Report | None = None
    reported: bytes = b""
    desired: bytes = b""

    @property
    def last_ms(self) -> int:
        """When it spoke last, as far as these topics show."""
        return max(self.t, self.report.t if self.report else 0)


@dataclass(slots=True)
class Fleet:
    """Every gateway that has told its ``state``, or ever did. ``strange``: topics with what nobody can read."""

    at: dict[str, Gateway] = field(default_factory=dict)
    strange: set[str] = field(default_factory=set)

    def take(self, topic: str, payload: bytes) -> None:
        """Note a message. What cannot be read counts as not there."""
        address = wire.parse_topic(topic)
        if address is None:
            return
        base = topic.removesuffix(f"/{address.leaf}")
        one = self.at.setdefault(base, Gateway(address.gateway, base))
        self.strange.discard(topic)
        if address.leaf == "config/desired":
            one.desired = payload
            return
        message = self._decoded(topic, payload)
        if address.leaf == "state":
            one.there = message is not None
            one.online = message is not None and message.get("online") is True
            one.agent = _text((message or {}).get("agent"))
            one.t = _number((message or {}).get("t"))
        elif address.leaf == "config/reported":
            # A certificate that was renewed is nothing new of a configuration.
            one.reported = payload if message is None else _without_certificate(message)
            one.report = None if message is None else _report(message)

    def begin(self) -> None:
        """A new connection: what the broker keeps for the gateways may be gone, and comes again if it is not."""
        for one in self.at.values():
            one.desired = b""

    def get(self, name: str) -> Gateway | None:
        """A gateway; of one that has moved and left something behind, the path at which it is now."""
        found = [one for one in self.at.values() if one.name == name and one.there]
        return max(found, key=lambda one: (one.online, one.t), default=None)

    def names(self) -> list[str]:
        """All gateways."""
        return sorted({one.name for one in self.at.values() if one.there})

    def _decoded(self, topic: str, payload: bytes) -> dict[str, Any] | None:
        if not payload:
            return None
        try:
            return wire.decode(payload)
        except wire.WireError:
            self.strange.add(topic)
            return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall run on one gateway. ``lasts_ms``: how long it may be accepted."""

    gateway: str
    config: Tables
    confirm_s: float
    lasts_ms: int

    def payload(self, version: int, now_ms: int) -> bytes:
        """The document to sign. Raises :class:`Refused` and :class:`TypeError`, as
        :func:`~agent.core.config_document.written_document` does."""
        until_ms = now_ms + self.lasts_ms
        return written_document(self.config, [self.gateway], version, now_ms, until_ms, self.confirm_s)


@dataclass(frozen=True, slots=True)
class Order:
    """A message for one gateway. ``before``: what its ``config/reported`` was when the message was decided on;
    ``done``: it runs there, confirmed."""

    gateway: str
    version: int
    hash: str
    message: bytes
    before: bytes
    done: bool = False


def standing(wanted: Wanted, at: Gateway, sign: Sign, now_ms: int) -> Order | None:
    """The order that stands retained at the gateway, if it says just this, bears our signatures, and can still lead to
    something: so that a change that was interrupted goes on, and nothing is done twice."""
    try:
        found = parse(at.desired)
        document = read_document(found.payload)
    except Refused:
        return None
    if found.payload_type != CONFIG_TYPE or not _says(document, wanted):
        return None
    if not set(sign(found.signed).values()) <= set(found.signatures):
        return None
    report = at.report
    ours = (document.version, document.hash)
    if report is not None and report.running == ours and report.state in ("confirmed", "rejected"):
        # Rejected was something else then, and later.
        return Order(at.name, *ours, at.desired, at.reported, done=True)
    if report is None or report.state in ("rejected", "rolled_back") or document.expires_ms <= now_ms:
        return None
    if report.version > document.version or (report.version == document.version and report.hash != document.hash):
        return None
    return Order(at.name, *ours, at.desired, at.reported)


def order(wanted: Wanted, at: Gateway, version: int, sign: Sign, now_ms: int) -> Order:
    """A new order. Raises :class:`Refused` where the gateway would not take this version."""
    if at.report is not None and version <= at.report.reached:
        raise Refused("rollback", say("has version {mark} already: --version must be higher", mark=at.report.reached))
    payload = wanted.payload(version, now_ms)
    message = written(table(CONFIG_TYPE, payload, sign(pre_authentication(CONFIG_TYPE, payload))))
    parse(message)
    return Order(at.name, version, read_document(payload).hash, message, at.reported)


def next_version(gateways: Collection[Gateway], kept: Collection[Order]) -> int:
    """The version for the gateways that need a new order: one above all that they reported, and at least that of the
    orders that are kept, so that a change that goes on has one version wherever it can."""
    reported = (one.report.reached for one in gateways if one.report is not None)
    return max(1 + max(reported, default=0), max((one.version for one in kept), default=1))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far one gateway is. ``why``: one line, where it failed."""

    state: Literal["waiting", "confirmed", "failed"]
    why: str = ""


_WAITING = Verdict("waiting")


def judge(order: Order, at: Gateway) -> Verdict:
    """What a gateway's report says of an order."""
    report = at.report
    if order.done:
        return Verdict("confirmed")
    if report is None or at.reported == order.before:
        return _WAITING
    ours = (report.version, report.hash) == (order.version, order.hash)
    if ours and report.state == "confirmed":
        return Verdict("confirmed")
    if report.state == "rejected" or (ours and report.state == "rolled_back"):
        return Verdict("failed", f"{report.state}: {report.cause}")
    if report.version >= order.version and not ours:
        return Verdict("failed", say("another configuration came to it, version {version}", version=report.version))
    return _WAITING


def _says(document: Document, wanted: Wanted) -> bool:
    same = document.gateways == (wanted.gateway,) and document.config == wanted.config
    return same and document.confirm_s == wanted.confirm_s and document.min_agent == "0.0"


def _report(message: Mapping[str, Any]) -> Report:
    running = message.get("running")
    running = running if isinstance(running, dict) else {}
    drift = message.get("drift")
    return Report(
        _number(message.get("version")), _text(message.get("hash")), _text(message.get("state")),
        _cause(message.get("cause")), (_number(running.get("version")), _text(running.get("hash"))),
        tuple(_text(one) for one in drift) if isinstance(drift, list) else (),
        _number(message.get("trust_version")), _number(message.get("t")), _ends_ms(message.get("certificate")),
    )  # fmt: skip


def _without_certificate(message: Mapping[str, Any]) -> bytes:
    return json.dumps({key: value for key, value in message.items() if key != "certificate"}, sort_keys=True).encode()


def _ends_ms(value: object) -> int:
    return _number(value.get("not_after")) if isinstance(value, dict) else 0


def _cause(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    where = f" ({path})" if (path := _text(value.get("path"))) else ""
    return f"{_text(value.get('code'))}: {_text(value.get('message'))}{where}"


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object) -> str:
    """What a gateway wrote, as one line, whatever that was."""
    return CONTROL.sub("?", value[:500]) if isinstance(value, str) else ""
