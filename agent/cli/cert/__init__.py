"""``gardu cert``: the certificates with which gateways log in."""

from argparse import ArgumentParser

from agent.cli.actions import add_actions
from agent.cli.actions import run_action as run
from agent.cli.cert import renew
from agent.core.text import say

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """One parser for each action."""
    add_actions(parser, {"renew": (say("give gateways new certificates"), renew)})
