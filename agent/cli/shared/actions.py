"""Runs the commands of maintainers and their actions (``gardu config sign``), and prints one line for an error."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import Protocol

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.cli.shared.maintainer_files import CommandFailed


class Action(Protocol):
    """A module with one action."""

    def add_arguments(self, parser: ArgumentParser, /) -> None:
        """Add its options."""

    def run(self, args: Namespace, /) -> int:
        """Run it and return the exit status."""


def add_actions(parser: ArgumentParser, actions: Mapping[str, tuple[str, Action]]) -> None:
    """Add a parser for each action. ``actions``: by name, the description and the module."""
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    for name, (description, action) in actions.items():
        subparser = subparsers.add_parser(name, help=description, description=description, allow_abbrev=False)
        action.add_arguments(subparser)
        subparser.set_defaults(act=action.run)


def run_action(args: Namespace) -> int:
    """Run the chosen action, as :func:`run_guarded`."""
    return run_guarded(args.act, args)


def run_guarded(act: Callable[[Namespace], int], args: Namespace) -> int:
    """Return the action's exit status; print one line and return 1 if a file is not usable or is rejected."""
    try:
        return act(args)
    except (CommandFailed, RejectedError) as error:
        print(error, file=sys.stderr)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        print(_("signatures need the extra updates: pip install 'gardu[updates]'"), file=sys.stderr)
    except OSError as error:
        print(_("{file}: {why}").format(file=error.filename, why=error.strerror or error), file=sys.stderr)
    return 1
