"""``gardu trust publish FILE [GATEWAY…]``: publishes the list of roots and shows which gateways follow it."""

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.base.i18n import _
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed
from agent.cli.trust.file import TrustFile
from agent.delivery.connection import ConnectionLost
from agent.fleet.reports import Fleet

_WAIT_S = 60.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    parser.add_argument("file", metavar="FILE", type=Path, help=_("trust file, such as trust.json"))
    parser.add_argument("gateway", metavar="GATEWAY", nargs="*", help=_("only these gateways; default: all"))
    timeout = _("time to wait for the gateways, in seconds; default: {n:.0f}").format(n=_WAIT_S)
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=_WAIT_S, help=timeout)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print a line for each gateway. Exit status 1: nothing can be published, or a gateway has not reached the newest
    root in time."""
    if not 0 < args.timeout <= 86_400:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--timeout", value=args.timeout))
    file = TrustFile.load(args.file)
    if file.pending is not None:
        raise CommandFailed(
            _("{file}: root {version} lacks signatures; nothing was sent").format(
                file=args.file, version=file.last.version
            )
        )
    try:
        return asyncio.run(_publish(BrokerOptions.of(args), file, args.gateway, args.timeout))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error


async def _publish(options: BrokerOptions, file: TrustFile, names: list[str], timeout_s: float) -> int:
    fleet = Fleet()
    watch = await FleetWatch.open(options, fleet, "state", "config/reported")
    try:
        await watch.collect(lambda: all(fleet.get(name) is not None for name in names))
        names = list(dict.fromkeys(names)) or fleet.names()
        found = {name: at.base for name in names if (at := fleet.get(name)) is not None}
        missing = [name for name in names if name not in found]
        if missing or not found:
            lines = [
                _("no gateway {name} has published its state on this broker").format(name=name) for name in missing
            ]
            raise CommandFailed("\n".join([*lines, _("nothing was sent")]))
        await watch.send({name: (f"{base}/config/trust", file.encoded()) for name, base in found.items()})
        for name, code in watch.refused.items():
            print(
                _("{name}: the broker refuses the message (reason 0x{code:02x}): check its ACL").format(
                    name=name, code=code
                )
            )
        left = await _follow(watch, fleet, [name for name in found if name not in watch.refused], file, timeout_s)
        for name in left:
            print(_lagging(fleet, name), flush=True)
        return 1 if left or watch.refused else 0
    finally:
        await watch.close()


async def _follow(watch: FleetWatch, fleet: Fleet, names: list[str], file: TrustFile, timeout_s: float) -> list[str]:
    """Print each gateway that has reached the newest root; return those that have not in time."""
    end_s = asyncio.get_running_loop().time() + timeout_s
    waiting = list(names)
    while waiting:
        for name in list(waiting):
            if _trusts(fleet, name) >= file.last.version:
                print(_("{name}: has root {version}").format(name=name, version=file.last.version), flush=True)
                waiting.remove(name)
        # Do not wait for offline gateways: they receive the list when they reconnect.
        if not any((at := fleet.get(name)) is not None and at.online for name in waiting):
            return waiting
        if not await watch.news(end_s):
            return waiting
    return []


def _trusts(fleet: Fleet, name: str) -> int:
    at = fleet.get(name)
    return at.report.trust_version if at is not None and at.report is not None else 0


def _lagging(fleet: Fleet, name: str) -> str:
    at, version = fleet.get(name), _trusts(fleet, name)
    if at is None or not at.online:
        return _("{name}: offline, last reported root {version}; it receives the list when it reconnects").format(
            name=name, version=version
        )
    return _("{name}: still has root {version}").format(name=name, version=version)
