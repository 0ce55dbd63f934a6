"""The configuration with which a new one is compared: from a file, or as it stands retained at the broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.broker_options import BrokerOptions
from agent.cli.shared.fleet_watch import FleetWatch
from agent.cli.shared.maintainer_files import CommandFailed, envelope, is_envelope, read, toml
from agent.config.document import parse_document
from agent.config.layers import Tables, without_local
from agent.fleet.reports import Fleet, ReportedGateway
from agent.fleet.rollout import Recognise, signed_document
from agent.update.signed.dsse import parse

LEAVES = ("state", "config/reported", "config/desired")


@dataclass(frozen=True, slots=True)
class Running:
    """``tables``: its remote part; ``origin``: one line that says where it comes from."""

    tables: Tables
    origin: str


def unknown() -> Running:
    """Nothing to compare with."""
    return Running({}, _("no running configuration was given (--running or --broker); showing everything as new"))


def from_file(path: Path) -> Running:
    """A configuration (TOML) or an envelope. Raises :class:`CommandFailed` and :class:`OSError`."""
    raw = read(path)
    tables = envelope(raw, path)[1].config if is_envelope(raw) else toml(raw, path)
    return Running(without_local(tables), _("compared with {file}:").format(file=path))


async def from_broker(options: BrokerOptions, gateways: Sequence[str], recognise: Recognise) -> Mapping[str, Running]:
    """What was published to each gateway. Raises :class:`~agent.delivery.connection.ConnectionLost`, and
    :class:`CommandFailed` if a gateway does not exist."""
    fleet = Fleet()
    watch = await FleetWatch.open(options, fleet, *LEAVES)
    try:
        await watch.collect(lambda: True)
    finally:
        await watch.close()
    return {name: _published(name, fleet.get(name), recognise) for name in gateways}


def _published(name: str, at: ReportedGateway | None, recognise: Recognise) -> Running:
    if at is None:
        raise CommandFailed(_("no gateway {name} has published its state on this broker").format(name=name))
    if not at.desired:
        return Running({}, _("nothing is published to {name}; showing everything as new").format(name=name))
    document = signed_document(at.desired, name, recognise)
    verified = document is not None
    if document is None:
        try:
            document = parse_document(parse(at.desired).payload)
        except RejectedError as error:
            raise CommandFailed(
                _("{name}: cannot read what is published to it: {why}").format(name=name, why=error)
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
        reports = _("({name} reports that it runs another one, version {version})").format(
            name=name, version=at.report.running[0]
        )
        origin = f"{reports}\n{origin}"
    return Running(without_local(document.config), origin)
