"""``gardu fleet status``: the fleet as a table."""

import asyncio
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from agent.cli.broker_options import BrokerOptions, add_broker_options
from agent.cli.fleet_watch import FleetWatch
from agent.cli.maintainer_files import Failed
from agent.core.certificate import days_left
from agent.core.link import LinkLost
from agent.core.moment import rfc_3339
from agent.core.rollout import Fleet, Gateway
from agent.core.text import say


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    parser.add_argument("gateway", metavar="GATEWAY", nargs="*", help=say("only these; otherwise all"))
    parser.add_argument("--json", action="store_true")
    most = say("how long to listen at most, where gateways do not fall silent")
    parser.add_argument("--seconds", metavar="S", type=float, default=15.0, help=most)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print what stands retained at the broker. Exit status 1: a named gateway is not there."""
    if not 0 < args.seconds < 86_400:
        raise Failed(say("{what} cannot be {value}", what="--seconds", value=args.seconds))
    try:
        fleet = asyncio.run(_fleet(args))
    except LinkLost as error:
        raise Failed(str(error)) from error
    names = args.gateway or fleet.names()
    found = [one for name in names if (one := fleet.get(name)) is not None]
    if args.json:
        print(json.dumps([_plain(one) for one in found], ensure_ascii=False, indent=1))
    else:
        _print(found)
    for topic in sorted(fleet.strange):
        print(say("{topic}: this is not of the contract", topic=topic), file=sys.stderr)
    missing = [name for name in names if fleet.get(name) is None]
    for name in missing:
        print(say("no gateway {name} has told its state to this broker", name=name), file=sys.stderr)
    return 1 if missing else 0


async def _fleet(args: Namespace) -> Fleet:
    fleet = Fleet()
    watch = await FleetWatch.open(BrokerOptions.of(args), fleet, "state", "config/reported")
    try:
        await watch.collect(lambda: True, args.seconds)
    finally:
        await watch.close()
    return fleet


def _plain(one: Gateway) -> dict[str, object]:
    """A gateway for programs; what it has not told is ``null``."""
    report = one.report
    told: dict[str, object] = dict.fromkeys(("version", "hash", "state", "cause", "running", "drift", "trust_version",
                                           "certificate"))  # fmt: skip
    if report is not None:
        told = {
            "version": report.version, "hash": report.hash, "state": report.state, "cause": report.cause or None,
            "running": {"version": report.running[0], "hash": report.running[1]}, "drift": list(report.drift),
            "trust_version": report.trust_version,
            "certificate": {"not_after": report.certificate_ms} if report.certificate_ms else None,
        }  # fmt: skip
    return {"gateway": one.name, "base": one.base, "online": one.online, "agent": one.agent, **told, "t": one.last_ms}


def _print(found: Sequence[Gateway]) -> None:
    heads = (say("gateway"), say("online"), say("version"), say("state"), say("runs"), say("trust"),
             say("certificate"), say("last word"), say("drift"), say("cause"))  # fmt: skip
    rows = [heads, *(_row(one) for one in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads) - 1)]
    for row in rows:
        print("  ".join([f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)] + [row[-1]]).rstrip())


def _row(one: Gateway) -> tuple[str, ...]:
    report = one.report
    online = say("yes") if one.online else say("no")
    last = rfc_3339(one.last_ms) if 0 < one.last_ms < 253_402_300_800_000 else "-"
    if report is None:
        return one.name, online, "-", "-", "-", "-", "-", last, "-", ""
    drift = ",".join(report.drift) or "-"
    return (one.name, online, str(report.version), report.state, str(report.running[0]), str(report.trust_version),
            _left(report.certificate_ms), last, drift, report.cause)  # fmt: skip


def _left(ends_ms: int) -> str:
    """Whole days until then."""
    return say("{days} d", days=days_left(ends_ms, time.time_ns() // 1_000_000)) if ends_ms else "-"
