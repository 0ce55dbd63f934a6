"""``gardu trust``: the list of roots, which say whose signatures count."""

from argparse import ArgumentParser

from agent.cli.actions import run_action as run
from agent.cli.trust.steps import add_steps

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """One parser for each action."""
    add_steps(parser.add_subparsers(metavar="ACTION", required=True))
