"""``gardu cert``: the certificates that gateways log in with."""

from argparse import ArgumentParser

from agent.base.i18n import _
from agent.cli.cert import renew
from agent.cli.shared.actions import add_actions
from agent.cli.shared.actions import run_action as run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the actions of this command."""
    add_actions(parser, {"renew": (_("issue new certificates to gateways"), renew)})
