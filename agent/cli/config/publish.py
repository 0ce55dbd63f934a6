"""``gardu config publish ENVELOPE…``: publish what was signed at several desks, and wait for what comes of it."""

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.i18n import _
from agent.base.trusted_time import rfc_3339
from agent.cli.config.running import LEAVES
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed, envelope, read
from agent.config.document import Document
from agent.delivery.connection import ConnectionLost
from agent.fleet.reports import Fleet, ReportedGateway
from agent.fleet.rollout import RolloutMessage, judge
from agent.update.signed.dsse import CONFIG_TYPE

_SLACK_S = 120.0


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope that can be published. ``message``: its bytes."""

    message: bytes
    document: Document

    @property
    def gateway(self) -> str:
        """For whom it is."""
        return self.document.gateways[0]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    file = _("a signed configuration for one gateway")
    parser.add_argument("envelope", metavar="ENVELOPE", type=Path, nargs="+", help=file)
    parser.add_argument("--no-wait", action="store_true", help=_("do not wait for the result"))
    silence = _("time to wait; default: 120 s more than the trial takes")
    parser.add_argument("--timeout", metavar="S", type=float, default=None, help=silence)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print a line for each gateway. Exit status 1: an envelope cannot be published (then none is), or a gateway has
    not confirmed."""
    if args.timeout is not None and not 0 < args.timeout <= 1e6:
        raise CommandFailed(_("{what}: invalid value {value}").format(what="--timeout", value=args.timeout))
    found = _sealed(args.envelope)
    timeout_s = args.timeout or max(one.document.confirm_s for one in found.values()) + _SLACK_S
    try:
        return asyncio.run(_publish(BrokerOptions.of(args), found, None if args.no_wait else timeout_s))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error


def _sealed(paths: Sequence[Path]) -> dict[str, Sealed]:
    """The envelopes by gateway. Raises :class:`CommandFailed` with a line for each that cannot be published."""
    found: dict[str, Sealed] = {}
    wrong: list[str] = []
    for path in paths:
        try:
            one = _read(path)
        except CommandFailed as error:
            wrong.append(str(error))
            continue
        if one.gateway in found:
            why = _("another envelope is also for {name}").format(name=one.gateway)
            wrong.append(_("{file}: {why}").format(file=path, why=why))
        found[one.gateway] = one
    if wrong:
        raise CommandFailed("\n".join([*wrong, _("nothing was sent")]))
    return found


def _read(path: Path) -> Sealed:
    """Raises :class:`CommandFailed`."""
    message = read(path).strip()
    opened, document = envelope(message, path)
    why = ""
    if opened.payload_type != CONFIG_TYPE:
        raise CommandFailed(_("{file} is not a signed configuration").format(file=path))
    if not opened.signatures:
        why = _("not signed")
    elif len(document.gateways) > 1:
        why = _("it is for {count} gateways: sign one envelope for each").format(count=len(document.gateways))
    elif document.expires_ms <= time.time_ns() // 1_000_000:
        why = _("expired on {date}").format(date=rfc_3339(document.expires_ms))
    if why:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=why))
    return Sealed(message, document)


async def _publish(options: BrokerOptions, found: Mapping[str, Sealed], timeout_s: float | None) -> int:
    fleet = Fleet()
    watch = await FleetWatch.open(options, fleet, *LEAVES)
    try:
        await watch.collect(lambda: all(fleet.get(name) is not None for name in found))
        missing = [name for name in found if fleet.get(name) is None]
        if missing:
            lines = [
                _("no gateway {name} has published its state on this broker").format(name=name) for name in missing
            ]
            raise CommandFailed("\n".join([*lines, _("nothing was sent")]))
        orders = {name: _order(one, fleet.get(name)) for name, one in found.items()}
        bases = {name: at.base for name in found if (at := fleet.get(name)) is not None}
        await watch.send({name: (f"{base}/config/desired", found[name].message) for name, base in bases.items()})
        for name, code in watch.refused.items():
            print(
                _("{name}: the broker refuses the message (reason 0x{code:02x}): check its ACL").format(
                    name=name, code=code
                )
            )
        sent = {name: order for name, order in orders.items() if name not in watch.refused}
        if timeout_s is None:
            for name, order in sent.items():
                print(_("{name}: published version {version}").format(name=name, version=order.version))
            return 1 if watch.refused else 0
        return max(1 if watch.refused else 0, await _outcome(watch, fleet, sent, timeout_s))
    finally:
        await watch.close()


def _order(one: Sealed, at: ReportedGateway | None) -> RolloutMessage:
    ours = (one.document.version, one.document.hash)
    report = at.report if at is not None else None
    before = at.reported if at is not None else b""
    done = report is not None and report.running == ours and report.state == "confirmed"
    if report is not None and (report.version, report.hash) == ours:
        before = b""  # it knows this one already: what it says of it counts
    return RolloutMessage(one.gateway, *ours, one.message, before, done)


async def _outcome(watch: FleetWatch, fleet: Fleet, orders: Mapping[str, RolloutMessage], timeout_s: float) -> int:
    """Print what came of each, as it comes; give the exit status."""
    end_s = asyncio.get_running_loop().time() + timeout_s
    waiting, status = dict(orders), 0
    while waiting:
        for name, order in list(waiting.items()):
            verdict = judge(order, fleet.get(name) or ReportedGateway(name, ""))
            if verdict.state == "waiting":
                continue
            word = _("was already confirmed") if order.done else _("confirmed")
            print(f"{name}: {verdict.why or word}", flush=True)
            status = status or int(verdict.state == "failed")
            del waiting[name]
        if waiting and not await watch.news(end_s):
            for name in waiting:
                print(_silence(name, fleet.get(name), timeout_s), flush=True)
            return 1
    return status


def _silence(name: str, at: ReportedGateway | None, timeout_s: float) -> str:
    if at is None or not at.online:
        return _("{name}: no answer within {n:.0f} s; it is offline").format(name=name, n=timeout_s)
    state = at.report.state if at.report is not None else _("no answer")
    return _("{name}: not confirmed within {n:.0f} s: {state}").format(name=name, n=timeout_s, state=state)
