"""``gardu``: one module per command. Only the chosen one is imported.

A command is a module or package ``agent/cli/NAME`` with ``add_arguments(parser)`` and ``run(args) -> int``, which
returns the exit status.
"""

import os
import select
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from agent import __version__
from agent.base.i18n import _, choose_language

INTERRUPTED = 130
"""Exit status after Ctrl-C, if the command does not handle it (128 + SIGINT)."""

RUN_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that ``gardu run`` handles itself."""


class UsageError(Exception):
    """The command line is wrong; the text says why, in one line."""


class _Parser(ArgumentParser):
    """An argparse parser that reports an error in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} ({_('{prog} --help').format(prog=self.prog)})")


def commands() -> Mapping[str, str]:
    """Return all commands with their descriptions."""
    return {
        "run": _("run the agent in the foreground"),
        "check": _("check a configuration file"),
        "listen": _("show what gateways publish"),
        "demo": _("run a small city on this computer"),
        "drivers": _("list the drivers, or show the page of one"),
        "decode": _("decode bytes that a device sent"),
        "command": _("send a command to a gateway"),
        "config": _("sign and publish configurations"),
        "fleet": _("change many gateways, and show what each of them runs"),
        "cert": _("renew the certificates of gateways"),
        "trust": _("manage the keys that may sign"),
        "keygen": _("create a key pair"),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    choose_language(os.environ)
    words = list(sys.argv[1:] if argv is None else argv)
    # Block the signals until the agent handles them: one that arrives during import would kill it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RUN_SIGNALS if words[:1] == ["run"] else ())
    try:
        return _run(words)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        if _stdout_is_open():
            raise
        return 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(words: list[str]) -> int:
    parser = _Parser(prog="gardu", allow_abbrev=False)
    parser.add_argument(
        "--version", action="version", version=f"gardu {__version__}", help=_("show the version and exit")
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    chosen = next((word for word in words if not word.startswith("-")), None)
    known = commands()
    if chosen is None and not {"-h", "--help", "--version"}.intersection(words):
        parser.error(_("missing command; choose one of: {names}").format(names=", ".join(known)))
    if chosen is not None and chosen not in known:
        parser.error(_('unknown command "{name}"; choose one of: {names}').format(name=chosen, names=", ".join(known)))
    for name, description in known.items():
        subparser = subparsers.add_parser(name, help=description, description=description, allow_abbrev=False)
        if name == chosen:
            module = import_module(f"agent.cli.{name}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    try:
        args = parser.parse_args(words)
        status: int = args.run(args)
    except SystemExit:  # --help and --version are done
        status = 0
    sys.stdout.flush()
    return status


def _stdout_is_open() -> bool:
    """Return whether someone still reads standard output. If not, redirect it to /dev/null, so that exit is quiet."""
    output = select.poll()
    output.register(sys.stdout, select.POLLOUT)
    if not any(event & (select.POLLERR | select.POLLHUP) for _unused, event in output.poll(0)):
        return True
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return False
