"""``gardu trust``: the list of roots, which say whose signatures count."""

from argparse import ArgumentParser

from agent.base.i18n import _
from agent.cli.shared.actions import run_action as run
from agent.cli.trust import publish
from agent.cli.trust.steps import add_steps

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """One parser for each action."""
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    add_steps(subparsers)
    does = _("publish the list to gateways")
    subparser = subparsers.add_parser("publish", help=does, description=does, allow_abbrev=False)
    publish.add_arguments(subparser)
    subparser.set_defaults(act=publish.run)
