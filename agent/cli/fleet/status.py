"""``gardu fleet status``: prints the fleet as a table. A gateway's texts are untrusted: each is one visible line."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from agent.base.display import json_text
from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.cli.fleet.certificates import Certificate, ask_for_certificates
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed
from agent.delivery.connection import ConnectionLost
from agent.fleet.reports import Fleet, ReportedGateway

_LISTEN_S = 15.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    parser.add_argument("gateway", metavar="GATEWAY", nargs="*", help=_("only these gateways; default: all"))
    parser.add_argument("--json", action="store_true", help=_("print JSON"))
    certificates = _("also ask each online gateway when its certificate expires")
    parser.add_argument("--certificates", action="store_true", help=certificates)
    seconds = _("maximum time to listen, in seconds; default: {n:.0f}").format(n=_LISTEN_S)
    parser.add_argument("--seconds", metavar="SECONDS", type=float, default=_LISTEN_S, help=seconds)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print what is retained at the broker. Exit status 1: a named gateway is not there."""
    if not 0 < args.seconds < 86_400:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--seconds", value=args.seconds))
    try:
        fleet = asyncio.run(_fleet(args))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error
    names = args.gateway or fleet.names()
    found = [gateway for name in names if (gateway := fleet.get(name)) is not None]
    certificates: Mapping[str, Certificate] | None = None
    failures: Sequence[str] = ()
    if args.certificates:
        certificates, failures = _certificates(args, [gateway.name for gateway in found if gateway.online])
    if args.json:
        print(json_text([_to_json(gateway, certificates) for gateway in found], indent=1))
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
    """Return the certificates of these gateways, and a line for each that does not reply."""
    try:
        return asyncio.run(ask_for_certificates(BrokerOptions.of(args), names))
    except ConnectionLost as error:
        raise CommandFailed(str(error)) from error


def _to_json(gateway: ReportedGateway, certificates: Mapping[str, Certificate] | None) -> dict[str, object]:
    """Return a gateway for programs; what it has not reported is ``null``."""
    report = gateway.report
    names = ("version", "hash", "state", "cause", "running", "refused", "drift", "trust_version")
    reported: dict[str, object] = dict.fromkeys(names)
    if report is not None:
        claimed = {"version": report.version, "hash": report.hash}
        reported = {
            **claimed,
            "state": report.state,
            "cause": report.cause or None,
            "running": {"version": report.running[0], "hash": report.running[1]},
            "refused": {**claimed, "cause": report.cause} if report.state == "rejected" else None,
            "drift": list(report.drift),
            "trust_version": report.trust_version,
        }
    if certificates is not None:
        known = certificates.get(gateway.name)
        reported["certificate"] = {"not_after": known.not_after_ms, "days": known.days} if known else None
    head = {"gateway": gateway.name, "base": gateway.base, "online": gateway.online, "agent": gateway.agent}
    return {**head, **reported, "t": gateway.last_ms}


def _print(found: Sequence[ReportedGateway], certificates: Mapping[str, Certificate] | None) -> None:
    certificate = () if certificates is None else (_("certificate"),)
    heads = (
        _("gateway"),
        _("online"),
        _("version"),
        _("state"),
        _("running"),
        _("trust"),
        *certificate,
        _("last seen"),
        _("drift"),
        _("cause"),
    )
    rows = [heads, *(_row(gateway, certificates) for gateway in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads) - 1)]
    for row in rows:
        print("  ".join([f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)] + [row[-1]]).rstrip())


def _row(gateway: ReportedGateway, certificates: Mapping[str, Certificate] | None) -> tuple[str, ...]:
    report = gateway.report
    online = _("yes") if gateway.online else _("no")
    last = rfc_3339(gateway.last_ms) if gateway.last_ms else "-"
    known = (certificates or {}).get(gateway.name)
    certificate = () if certificates is None else (_("days left: {days}").format(days=known.days) if known else "-",)
    if report is None:
        return gateway.name, online, "-", "-", "-", "-", *certificate, last, "-", ""
    drift = ",".join(report.drift) or "-"
    return (
        gateway.name,
        online,
        str(report.version),
        report.state,
        str(report.running[0]),
        str(report.trust_version),
        *certificate,
        last,
        drift,
        report.cause,
    )
