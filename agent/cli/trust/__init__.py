"""``gardu trust``: the list of trust roots, which define whose signatures count."""

from argparse import ArgumentParser

from agent.base.i18n import _
from agent.cli.shared.actions import run_action as run
from agent.cli.trust import publish
from agent.cli.trust.steps import add_steps

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the actions of this command."""
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    add_steps(subparsers)
    description = _("publish the list to gateways")
    subparser = subparsers.add_parser("publish", help=description, description=description, allow_abbrev=False)
    publish.add_arguments(subparser)
    subparser.set_defaults(act=publish.run)
