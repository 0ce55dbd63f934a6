"""The configuration to compare a new one with: from a file, or the one retained at the broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.broker_options import BrokerOptions
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed, is_envelope, parse_envelope, parse_toml, read_file
from agent.config.document import parse_document
from agent.config.layers import Tables, without_local
from agent.fleet.reports import Fleet, ReportedGateway
from agent.fleet.rollout import Recognise, signed_document
from agent.update.signed.dsse import parse

LEAVES = ("state", "config/reported", "config/desired")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A configuration to compare with. ``tables``: its remote part; ``origin``: one line that says where it is from."""

    tables: Tables
    origin: str


def unknown() -> Baseline:
    """Return an empty baseline: there is nothing to compare with."""
    return Baseline({}, _("no running configuration was given (--running or --broker); showing everything as new"))


def from_file(path: Path) -> Baseline:
    """Load a configuration (TOML) or an envelope. Raises :class:`CommandFailed` and :class:`OSError`."""
    raw = read_file(path)
    tables = parse_envelope(raw, path)[1].config if is_envelope(raw) else parse_toml(raw, path)
    return Baseline(without_local(tables), _("compared with {file}:").format(file=path))


async def from_broker(options: BrokerOptions, gateways: Sequence[str], recognise: Recognise) -> Mapping[str, Baseline]:
    """Return what is published to each gateway. Raises :class:`~agent.delivery.connection.ConnectionLost`, and
    :class:`CommandFailed` if a gateway does not exist."""
    fleet = Fleet()
    watch = await FleetWatch.open(options, fleet, *LEAVES)
    try:
        await watch.collect(lambda: True)
    finally:
        await watch.close()
    return {name: _published(name, fleet.get(name), recognise) for name in gateways}


def _published(name: str, at: ReportedGateway | None, recognise: Recognise) -> Baseline:
    if at is None:
        raise CommandFailed(_("no gateway {name} has published its state on this broker").format(name=name))
    if not at.desired:
        return Baseline({}, _("nothing is published to {name}; showing everything as new").format(name=name))
    document = signed_document(at.desired, name, recognise)
    verified = document is not None
    if document is None:
        try:
            document = parse_document(parse(at.desired).payload)
        except RejectedError as error:
            raise CommandFailed(
                _("{name}: cannot read its published configuration: {why}").format(name=name, why=error)
            ) from error
    origin = {
        True: _("compared with version {version}, published to {name} (signatures verified):").format(
            version=document.version, name=name
        ),
        False: _(
            "compared with version {version}, published to {name} (NOT VERIFIED: not signed by your keys):"
        ).format(version=document.version, name=name),
    }[verified]
    if at.report is not None and at.report.running != (document.version, document.hash):
        reports = _("({name} reports that it is running another configuration, version {version})").format(
            name=name, version=at.report.running[0]
        )
        origin = f"{reports}\n{origin}"
    return Baseline(without_local(document.config), origin)
