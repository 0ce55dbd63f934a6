"""Commands of a maintainer, which may have actions below them (``gardu config sign``): one parser for each, and one
line for what they cannot do."""

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
        """Do it; give the exit status."""


def add_actions(parser: ArgumentParser, actions: Mapping[str, tuple[str, Action]]) -> None:
    """One parser for each action, which is given with what it does."""
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    for name, (does, action) in actions.items():
        subparser = subparsers.add_parser(name, help=does, description=does, allow_abbrev=False)
        action.add_arguments(subparser)
        subparser.set_defaults(act=action.run)


def run_action(args: Namespace) -> int:
    """Run the chosen action; as :func:`told_in_one_line`."""
    return told_in_one_line(args.act, args)


def told_in_one_line(act: Callable[[Namespace], int], args: Namespace) -> int:
    """Give the action's exit status; 1, after one line, where a file cannot be used or what it says is refused."""
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
