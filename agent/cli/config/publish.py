"""``gardu config publish ENVELOPE…``: publishes signed configurations and waits for the outcome."""

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.cli.config.running import LEAVES
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed, parse_envelope, read_file
from agent.config.document import Document
from agent.delivery.connection import ConnectionLost
from agent.fleet.reports import Fleet, ReportedGateway
from agent.fleet.rollout import RolloutMessage, judge
from agent.update.signed.dsse import CONFIG_TYPE

_SLACK_S = 120.0


@dataclass(frozen=True, slots=True)
class SignedConfig:
    """A signed envelope for one gateway. ``message``: its bytes."""

    message: bytes
    document: Document

    @property
    def gateway(self) -> str:
        """The id of the gateway that it is for."""
        return self.document.gateways[0]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    file = _("a signed configuration for one gateway")
    parser.add_argument("envelope", metavar="ENVELOPE", type=Path, nargs="+", help=file)
    parser.add_argument("--no-wait", action="store_true", help=_("do not wait for the result"))
    timeout = _("time to wait; default: 120 s more than the trial takes")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=None, help=timeout)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print a line for each gateway. Exit status 1: an envelope is not publishable (then none is published), or a
    gateway has not confirmed."""
    if args.timeout is not None and not 0 < args.timeout <= 1e6:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--timeout", value=args.timeout))
    configs = _load_all(args.envelope)
    timeout_s = args.timeout or max(config.document.confirm_s for config in configs.values()) + _SLACK_S
    try:
        return asyncio.run(_publish(BrokerOptions.of(args), configs, None if args.no_wait else timeout_s))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error


def _load_all(paths: Sequence[Path]) -> dict[str, SignedConfig]:
    """Load the envelopes by gateway. Raises :class:`CommandFailed` with a line for each that is not publishable."""
    configs: dict[str, SignedConfig] = {}
    problems: list[str] = []
    for path in paths:
        try:
            config = _load(path)
        except CommandFailed as error:
            problems.append(str(error))
            continue
        if config.gateway in configs:
            why = _("another envelope is also for {name}").format(name=config.gateway)
            problems.append(_("{file}: {why}").format(file=path, why=why))
        configs[config.gateway] = config
    if problems:
        raise CommandFailed("\n".join([*problems, _("nothing was sent")]))
    return configs


def _load(path: Path) -> SignedConfig:
    """Load an envelope. Raises :class:`CommandFailed`."""
    message = read_file(path).strip()
    opened, document = parse_envelope(message, path)
    why = ""
    if opened.payload_type != CONFIG_TYPE:
        raise CommandFailed(_("{file} is not a signed configuration").format(file=path))
    if not opened.signatures:
        why = _("not signed")
    elif len(document.gateways) > 1:
        why = _("the envelope is for {count} gateways: sign one envelope for each").format(count=len(document.gateways))
    elif document.expires_ms <= time.time_ns() // 1_000_000:
        why = _("expired on {date}").format(date=rfc_3339(document.expires_ms))
    if why:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=why))
    return SignedConfig(message, document)


async def _publish(options: BrokerOptions, configs: Mapping[str, SignedConfig], timeout_s: float | None) -> int:
    fleet = Fleet()
    watch = await FleetWatch.open(options, fleet, *LEAVES)
    try:
        await watch.collect(lambda: all(fleet.get(name) is not None for name in configs))
        missing = [name for name in configs if fleet.get(name) is None]
        if missing:
            lines = [
                _("no gateway {name} has published its state on this broker").format(name=name) for name in missing
            ]
            raise CommandFailed("\n".join([*lines, _("nothing was sent")]))
        messages = {name: _message(config, fleet.get(name)) for name, config in configs.items()}
        bases = {name: gateway.base for name in configs if (gateway := fleet.get(name)) is not None}
        await watch.send({name: (f"{base}/config/desired", configs[name].message) for name, base in bases.items()})
        for name, code in watch.refused.items():
            print(
                _("{name}: the broker refuses the message (reason 0x{code:02x}): check its ACL").format(
                    name=name, code=code
                )
            )
        sent = {name: message for name, message in messages.items() if name not in watch.refused}
        if timeout_s is None:
            for name, message in sent.items():
                print(_("{name}: published version {version}").format(name=name, version=message.version))
            return 1 if watch.refused else 0
        return max(1 if watch.refused else 0, await _outcome(watch, fleet, sent, timeout_s))
    finally:
        await watch.close()


def _message(config: SignedConfig, gateway: ReportedGateway | None) -> RolloutMessage:
    ours = (config.document.version, config.document.hash)
    report = gateway.report if gateway is not None else None
    before = gateway.reported if gateway is not None else b""
    done = report is not None and report.running == ours and report.state == "confirmed"
    if report is not None and (report.version, report.hash) == ours:
        before = b""  # the gateway already knows this configuration, so its present report counts
    return RolloutMessage(config.gateway, *ours, config.message, before, done)


async def _outcome(watch: FleetWatch, fleet: Fleet, messages: Mapping[str, RolloutMessage], timeout_s: float) -> int:
    """Print each outcome as it arrives; return the exit status."""
    end_s = asyncio.get_running_loop().time() + timeout_s
    waiting, status = dict(messages), 0
    while waiting:
        for name, message in list(waiting.items()):
            verdict = judge(message, fleet.get(name) or ReportedGateway(name, ""))
            if verdict.state == "waiting":
                continue
            word = _("was already confirmed") if message.done else _("confirmed")
            print(f"{name}: {verdict.why or word}", flush=True)
            status = status or int(verdict.state == "failed")
            del waiting[name]
        if waiting and not await watch.news(end_s):
            for name in waiting:
                print(_silence(name, fleet.get(name), timeout_s), flush=True)
            return 1
    return status


def _silence(name: str, gateway: ReportedGateway | None, timeout_s: float) -> str:
    if gateway is None or not gateway.online:
        return _("{name}: offline; no answer within {n:.0f} s").format(name=name, n=timeout_s)
    state = gateway.report.state if gateway.report is not None else _("no answer")
    return _("{name}: not confirmed within {n:.0f} s: {state}").format(name=name, n=timeout_s, state=state)
