"""``gardu config``: the maintainer's side of configuration updates."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping

from agent.cli import (
    config_keygen,
    config_plan,
    config_push,
    config_renew,
    config_sign,
    config_status,
    config_trust,
)
from agent.cli.config_files import Failed
from agent.core.refusal import Refused
from agent.core.text import say

Action = tuple[Callable[[ArgumentParser], None], Callable[[Namespace], int]]


def actions() -> Mapping[str, tuple[str, Action]]:
    """The actions that exist, each with what it does."""
    return {
        "keygen": (say("make a key pair"), (config_keygen.add_arguments, config_keygen.run)),
        "sign": (say("sign a configuration, or add a signature"), (config_sign.add_arguments, config_sign.run)),
        "trust": (say("keep the list of those who may sign"), (config_trust.add_arguments, config_trust.run)),
        "plan": (say("show what a configuration would change"), (config_plan.add_arguments, config_plan.run)),
        "push": (say("change many gateways, ring after ring"), (config_push.add_arguments, config_push.run)),
        "renew": (say("give gateways new certificates"), (config_renew.add_arguments, config_renew.run)),
        "status": (say("show what runs on which gateway"), (config_status.add_arguments, config_status.run)),
    }


def add_arguments(parser: ArgumentParser) -> None:
    """One parser for each action."""
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    for name, (does, (add, run_action)) in actions().items():
        subparser = subparsers.add_parser(name, help=does, description=does, allow_abbrev=False)
        add(subparser)
        subparser.set_defaults(act=run_action)


def run(args: Namespace) -> int:
    """Run the action. Exit status 1: a file cannot be used, or what it says is refused."""
    try:
        status: int = args.act(args)
    except (Failed, Refused) as error:
        print(error, file=sys.stderr)
        return 1
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        print(say("signatures need the extra updates: pip install 'gardu[updates]'"), file=sys.stderr)
        return 1
    except OSError as error:
        print(say("{file}: {why}", file=error.filename, why=error.strerror or error), file=sys.stderr)
        return 1
    return status
