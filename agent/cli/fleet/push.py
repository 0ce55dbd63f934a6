"""``gardu fleet push TEMPLATE TABLE``: rolls out one change to many gateways, ring by ring, until one fails."""

import asyncio
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.fleet.progress import Progress
from agent.cli.fleet.rendered import Rings, render_all
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed, load_private_keys
from agent.cli.shared.recognition import add_trust_option, recogniser
from agent.config.document import CONFIRM_S
from agent.delivery.connection import ConnectionLost
from agent.fleet.reports import Fleet, ReportedGateway
from agent.fleet.rollout import (
    Recognise,
    RolloutMessage,
    RolloutTarget,
    Sign,
    existing_message,
    judge,
    new_message,
    next_version,
    signed_document,
)

_DAYS = 30.0
_SLACK_S = 120.0
_RETRY_S = 3.0
_LEAVES = ("state", "config/reported", "config/desired")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    template = _("the remote part of a configuration (TOML), with ${column} where gateways differ")
    parser.add_argument("template", metavar="TEMPLATE", type=Path, help=template)
    table = _("the gateways (CSV); the first line names the columns, starting with gateway")
    parser.add_argument("table", metavar="TABLE", type=Path, help=table)
    ring = _("the gateways of the first ring, one per line")
    parser.add_argument("--ring", metavar="FILE", type=Path, required=True, help=ring)
    then = _("the gateways of the next ring; may be repeated")
    parser.add_argument("--then", metavar="FILE", type=Path, action="append", default=[], help=then)
    parser.add_argument(
        "--key", metavar="KEY", type=Path, action="append", required=True, help=_("private key; may be repeated")
    )
    version = _("default: one above the highest version that was signed for these gateways")
    parser.add_argument("--version", metavar="N", type=int, default=None, help=version)
    add_trust_option(parser)
    days = _("days until it expires; default: {n:.0f}").format(n=_DAYS)
    parser.add_argument("--expires-days", metavar="DAYS", type=float, default=_DAYS, help=days)
    confirm = _("how long a gateway tries it before rolling back, in seconds; default: {n:.0f}").format(n=CONFIRM_S)
    parser.add_argument("--confirm-s", metavar="SECONDS", type=float, default=float(CONFIRM_S), help=confirm)
    timeout = _("time to wait for a ring to confirm; default: 120 s more than the trial takes")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=None, help=timeout)
    parser.add_argument("--dry-run", action="store_true", help=_("render and check everything, but send nothing"))
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Roll out the change. Exit status 1: a configuration is invalid (then nothing was sent), or a gateway failed or
    did not answer."""
    timeout_s = args.confirm_s + _SLACK_S if args.timeout is None else args.timeout
    limits = (
        ("--expires-days", args.expires_days, 7300),
        ("--confirm-s", args.confirm_s, 86_400),
        ("--timeout", timeout_s, 1e6),
    )
    for name, value, max_ in limits:
        if not 0 < value <= max_:
            raise CommandFailed(_("argument {what}: invalid value: {value}").format(what=name, value=value))
    rings, targets = render_all(args)
    keys = load_private_keys(args.key)
    recognise, floor = recogniser([key.public for key in keys], args.trust)
    if args.dry_run:
        for number, ring in enumerate(rings, 1):
            print(_("ring {number}: {names}").format(number=number, names=", ".join(ring)))
        return 0

    def sign(message: bytes) -> Mapping[bytes, bytes]:
        return {key.public: key.sign(message) for key in keys}

    try:
        push = Push(BrokerOptions.of(args), rings, timeout_s)
        asyncio.run(push.run(lambda found: _messages(targets, found, Versions(args.version, floor, recognise), sign)))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error
    return 0


class Push:
    """One rollout."""

    def __init__(self, options: BrokerOptions, rings: Rings, timeout_s: float) -> None:
        self._options = options
        self._rings = rings
        self._timeout_s = timeout_s
        self._fleet = Fleet()
        self._messages: dict[str, RolloutMessage] = {}
        self._isolated: dict[str, str] = {}
        self._progress = Progress(sys.stdout)
        self._names = [name for ring in rings for name in ring]

    async def run(self, create: Callable[[Mapping[str, ReportedGateway]], dict[str, RolloutMessage]]) -> None:
        """Send to one ring after the other. ``create`` returns the messages for the gateways found.

        Raises :class:`CommandFailed` at the first gateway that fails or does not answer, or at the end for isolated
        failures; :class:`ConnectionLost` if the broker is unreachable at the start.
        """
        watch = await self._open()
        try:
            self._messages = create(self._found())
        except BaseException:
            await watch.close()
            raise
        for number, ring in enumerate(self._rings, 1):
            try:
                watch = await self._ring(watch, number, ring)
            finally:
                self._progress.end()
        await watch.close()
        if self._isolated:
            raise CommandFailed("\n".join(self._isolated.values()))

    async def _open(self) -> FleetWatch:
        """Connect and collect the gateways' reports. Raises :class:`ConnectionLost`."""
        watch = await FleetWatch.open(self._options, self._fleet, *_LEAVES)
        try:
            await watch.collect(lambda: all(_reports(self._fleet.get(name)) for name in self._names))
        except BaseException:
            await watch.close()
            raise
        return watch

    def _found(self) -> dict[str, ReportedGateway]:
        """Return the gateways of all rings. Raises :class:`CommandFailed` if one is unknown."""
        gateways = {name: self._fleet.get(name) for name in self._names}
        found = {name: gateway for name, gateway in gateways.items() if gateway is not None and _reports(gateway)}
        missing = [name for name in self._names if name not in found]
        if missing:
            names = ", ".join(missing)
            raise CommandFailed(_("unknown on this broker (no state or config/reported): {names}").format(names=names))
        return found

    async def _ring(self, watch: FleetWatch, number: int, ring: Sequence[str]) -> FleetWatch:
        """Send to one ring and wait until all of it has confirmed. Returns the connection, which may be a new one.
        Raises :class:`CommandFailed`."""
        now_s = asyncio.get_running_loop().time
        end_s = now_s() + self._timeout_s
        self._progress.begin(number, len(self._rings), ring, self._messages)
        connected = True
        while True:
            try:
                if not connected:
                    watch, connected = await self._open(), True
                await self._follow(watch, ring, end_s)
            except ConnectionLost as error:
                # Messages already sent are retained at the broker; sending them again changes nothing.
                await watch.close()
                connected = False
                if now_s() + _RETRY_S > end_s:
                    raise self._failure(number, ring, [str(error)]) from error
                self._progress.note(_("not connected: {reason}; retrying").format(reason=error))
                await asyncio.sleep(_RETRY_S)
                continue
            except _Stop as stop:
                await watch.close()
                raise self._failure(number, ring, stop.why) from stop
            except BaseException:
                await watch.close()
                raise
            return watch

    async def _follow(self, watch: FleetWatch, ring: Sequence[str], end_s: float) -> None:
        """Send to gateways that have not confirmed yet, and wait. Raises :class:`ConnectionLost` and :class:`_Stop`."""
        waiting = [name for name in ring if not self._settled(name)]
        sent: dict[str, tuple[str, bytes]] = {}
        for name in waiting:
            gateway = self._gateway(name)
            if gateway.desired != self._messages[name].message:
                sent[name] = (f"{gateway.base}/config/desired", self._messages[name].message)
        await watch.send(sent)
        if watch.refused:
            raise _Stop(
                [
                    _("{name}: the broker refuses the message (reason 0x{code:02x}): check its ACL").format(
                        name=name, code=code
                    )
                    for name, code in watch.refused.items()
                ]
            )
        while waiting := [name for name in waiting if not self._settled(name)]:
            if not await watch.news(end_s):
                raise _Stop([self._silence(name) for name in waiting])

    def _settled(self, name: str) -> bool:
        """Return whether a gateway has confirmed or has an isolated failure. Raises :class:`_Stop` for any other
        failure."""
        verdict = judge(self._messages[name], self._gateway(name))
        if verdict.state == "failed" and not verdict.isolated:
            raise _Stop([f"{name}: {verdict.why}"])
        if verdict.state == "failed":
            self._isolated[name] = f"{name}: {verdict.why}"
        if verdict.state == "confirmed":
            self._progress.confirmed(name)
            self._isolated.pop(name, None)
        return verdict.state != "waiting"

    def _gateway(self, name: str) -> ReportedGateway:
        # If it has just moved, its state may be cleared at the old path and not yet published at the new one.
        return self._fleet.get(name) or ReportedGateway(name, "")

    def _silence(self, name: str) -> str:
        gateway, message = self._gateway(name), self._messages[name]
        if not gateway.online:
            return _("{name}: offline; no answer within {n:.0f} s").format(name=name, n=self._timeout_s)
        report = gateway.report
        state = report.state if report is not None and report.hash == message.hash else _("no answer")
        return _("{name}: not confirmed within {n:.0f} s: {state}").format(name=name, n=self._timeout_s, state=state)

    def _failure(self, number: int, ring: Collection[str], why: Sequence[str]) -> CommandFailed:
        """Return the error for a rollout that stopped in this ring."""
        done = sum(judge(self._messages[name], self._gateway(name)).state == "confirmed" for name in ring)
        left = sum(len(later) for later in self._rings[number:])
        end = _(
            "stopped in ring {number}: {done} of {count} confirmed; nothing was sent to later rings (gateways: {left})"
        ).format(number=number, done=done, count=len(ring), left=left)
        return CommandFailed(
            "\n".join([*self._isolated.values(), *why, end, _("run the same command again to continue from here")])
        )


class _Stop(Exception):
    """Stops the rollout. ``why``: one line per failed gateway."""

    def __init__(self, why: Sequence[str]) -> None:
        super().__init__()
        self.why = why


def _reports(gateway: ReportedGateway | None) -> bool:
    return gateway is not None and gateway.report is not None


@dataclass(frozen=True, slots=True)
class Versions:
    """The sources of version numbers. ``chosen``: from ``--version``; ``floor``: from the trust root."""

    chosen: int | None
    floor: int
    recognise: Recognise

    def signed(self, gateway: ReportedGateway) -> int:
        """Return the version that maintainers signed for a gateway before; 0 if the broker has none."""
        document = signed_document(gateway.desired, gateway.name, self.recognise)
        return document.version if document is not None else 0


def _messages(
    targets: Mapping[str, RolloutTarget], found: Mapping[str, ReportedGateway], versions: Versions, sign: Sign
) -> dict[str, RolloutMessage]:
    """Create all messages before the first is sent. Raises :class:`CommandFailed`."""
    now_ms = time.time_ns() // 1_000_000
    candidates = {name: existing_message(targets[name], found[name], sign, now_ms) for name in found}
    existing = {name: message for name, message in candidates.items() if message is not None}
    signed = {name: versions.signed(gateway) for name, gateway in found.items()}
    before = [version for name, version in signed.items() if name not in existing]
    version = versions.chosen
    if version is None:
        version = next_version(before, existing.values(), versions.floor)
    messages: dict[str, RolloutMessage] = {}
    problems = []
    for name, gateway in found.items():
        kept = existing.get(name)
        try:
            if kept is not None and versions.chosen in (None, kept.version):
                messages[name] = kept
            else:
                messages[name] = new_message(targets[name], gateway, version, sign, now_ms, signed[name])
        except RejectedError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise CommandFailed("\n".join([*problems, _("nothing was sent")]))
    return messages
