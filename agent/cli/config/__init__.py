"""``gardu config``: signed configurations."""

from argparse import ArgumentParser

from agent.base.i18n import _
from agent.cli.config import plan, publish, sign
from agent.cli.shared.actions import add_actions
from agent.cli.shared.actions import run_action as run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the actions of this command."""
    add_actions(
        parser,
        {
            "sign": (_("sign a configuration, or add a signature"), sign),
            "publish": (_("publish signed configurations"), publish),
            "plan": (_("show what a configuration would change"), plan),
        },
    )
