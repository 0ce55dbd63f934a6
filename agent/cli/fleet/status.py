"""``gardu fleet status``: the fleet as a table. What a gateway says is one visible line, and ends nothing."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from agent.base.display import json_text
from agent.base.i18n import _
from agent.base.trusted_time import rfc_3339
from agent.cli.fleet.certificates import Certificate, ask_certificates
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed
from agent.delivery.connection import ConnectionLost
from agent.fleet.reports import Fleet, ReportedGateway


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    parser.add_argument("gateway", metavar="GATEWAY", nargs="*", help=_("only these gateways; default: all"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))
    certificates = _("also ask each online gateway when its certificate expires")
    parser.add_argument("--certificates", action="store_true", help=certificates)
    most = _("maximum time to listen")
    parser.add_argument("--seconds", metavar="S", type=float, default=15.0, help=most)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print what stands retained at the broker. Exit status 1: a named gateway is not there."""
    if not 0 < args.seconds < 86_400:
        raise CommandFailed(_("{what}: invalid value {value}").format(what="--seconds", value=args.seconds))
    try:
        fleet = asyncio.run(_fleet(args))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error
    names = args.gateway or fleet.names()
    found = [one for name in names if (one := fleet.get(name)) is not None]
    certificates: Mapping[str, Certificate] | None = None
    failures: Sequence[str] = ()
    if args.certificates:
        certificates, failures = _certificates(args, [one.name for one in found if one.online])
    if args.json:
        print(json_text([_plain(one, certificates) for one in found], indent=1))
    else:
        _print(found, certificates)
    for line in (*(line for _unused, line in sorted(fleet.unreadable.items())), *failures):
        print(line, file=sys.stderr)
    missing = [name for name in names if fleet.get(name) is None]
    for name in missing:
        print(_("no gateway {name} has published its state on this broker").format(name=name), file=sys.stderr)
    return 1 if missing else 0


async def _fleet(args: Namespace) -> Fleet:
    fleet = Fleet()
    watch = await FleetWatch.open(BrokerOptions.of(args), fleet, "state", "config/reported")
    try:
        await watch.collect(lambda: True, args.seconds)
    finally:
        await watch.close()
    return fleet


def _certificates(args: Namespace, names: Sequence[str]) -> tuple[Mapping[str, Certificate], Sequence[str]]:
    """What those that are online say of their certificates, and a line for each that does not."""
    try:
        return asyncio.run(ask_certificates(BrokerOptions.of(args), names))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error


def _plain(one: ReportedGateway, certificates: Mapping[str, Certificate] | None) -> dict[str, object]:
    """A gateway for programs; what it has not told is ``null``."""
    report = one.report
    names = ("version", "hash", "state", "cause", "running", "refused", "drift", "trust_version")
    told: dict[str, object] = dict.fromkeys(names)
    if report is not None:
        claimed = {"version": report.version, "hash": report.hash}
        told = {
            **claimed,
            "state": report.state,
            "cause": report.cause or None,
            "running": {"version": report.running[0], "hash": report.running[1]},
            "refused": {**claimed, "cause": report.cause} if report.state == "rejected" else None,
            "drift": list(report.drift),
            "trust_version": report.trust_version,
        }
    if certificates is not None:
        known = certificates.get(one.name)
        told["certificate"] = {"not_after": known.not_after_ms, "days": known.days} if known else None
    return {"gateway": one.name, "base": one.base, "online": one.online, "agent": one.agent, **told, "t": one.last_ms}


def _print(found: Sequence[ReportedGateway], certificates: Mapping[str, Certificate] | None) -> None:
    asked = () if certificates is None else (_("certificate"),)
    heads = (
        _("gateway"),
        _("online"),
        _("version"),
        _("state"),
        _("running"),
        _("trust"),
        *asked,
        _("last seen"),
        _("drift"),
        _("cause"),
    )
    rows = [heads, *(_row(one, certificates) for one in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads) - 1)]
    for row in rows:
        print("  ".join([f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)] + [row[-1]]).rstrip())


def _row(one: ReportedGateway, certificates: Mapping[str, Certificate] | None) -> tuple[str, ...]:
    report = one.report
    online = _("yes") if one.online else _("no")
    last = rfc_3339(one.last_ms) if one.last_ms else "-"
    known = (certificates or {}).get(one.name)
    asked = () if certificates is None else (_("{days} days").format(days=known.days) if known else "-",)
    if report is None:
        return one.name, online, "-", "-", "-", "-", *asked, last, "-", ""
    drift = ",".join(report.drift) or "-"
    return (
        one.name,
        online,
        str(report.version),
        report.state,
        str(report.running[0]),
        str(report.trust_version),
        *asked,
        last,
        drift,
        report.cause,
    )
