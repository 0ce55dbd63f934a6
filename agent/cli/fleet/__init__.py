"""``gardu fleet``: many gateways at once."""

from argparse import ArgumentParser

from agent.base.i18n import _
from agent.cli.fleet import push, status
from agent.cli.shared.actions import add_actions
from agent.cli.shared.actions import run_action as run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the actions of this command."""
    add_actions(
        parser,
        {
            "push": (_("roll out a change to many gateways, ring by ring"), push),
            "status": (_("show what each gateway runs"), status),
        },
    )
