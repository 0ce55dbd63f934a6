"""``gardu command``: sends a command to a gateway and prints the reply, or signs a command for someone else to send."""

import asyncio
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from agent.base.display import json_text
from agent.base.i18n import _
from agent.cli import UsageError
from agent.cli.shared.actions import run_guarded
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.command_arguments import WrongArguments, parse_arguments
from agent.cli.shared.command_client import CommandClient
from agent.cli.shared.maintainer_files import CommandFailed, load_private_keys, read_file, write_file
from agent.cli.shared.prepared_command import PreparedCommand, countersign, parse_prepared, prepare
from agent.commands.authorization import LIFETIME_MS
from agent.commands.registry import COMMANDS
from agent.delivery.connection import ConnectionLost

_TIMEOUT_S = 20.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("gateway", metavar="GATEWAY", nargs="?", help=_("id of the gateway"))
    parser.add_argument("name", metavar="NAME", nargs="?", help=", ".join(sorted(COMMANDS)))
    value = _("argument of the command; KEY=@FILE reads the value from a file")
    parser.add_argument("arguments", metavar="KEY=VALUE", nargs="*", type=_argument, help=value)
    key = _("sign with this key of the role command; may be repeated")
    parser.add_argument("--key", metavar="FILE", type=Path, action="append", default=[], help=key)
    sealed = _("file with a command that was signed elsewhere; replaces GATEWAY NAME")
    parser.add_argument("--envelope", metavar="FILE", type=Path, default=None, help=sealed)
    out = _("write the signed command to this file instead of sending it; it expires after 10 minutes")
    parser.add_argument("--out", metavar="FILE", type=Path, default=None, help=out)
    timeout = _("time to wait for the reply, in seconds; default: {n:.0f}").format(n=_TIMEOUT_S)
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, metavar="SECONDS", help=timeout)
    add_broker_options(parser)


def _argument(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentTypeError(_("{text} is not KEY=VALUE").format(text=text))
    return key, _text(Path(value[1:])) if value.startswith("@") else value


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArgumentTypeError(_("{file}: {why}").format(file=file, why=why)) from error


def run(args: Namespace) -> int:
    """Send the command; print the reply as JSON. Exit status 1: no reply, or neither ``done`` nor ``accepted``.

    Raises :class:`~agent.cli.UsageError`.
    """
    try:
        _check(args)
        arguments = {} if args.envelope is not None else parse_arguments(args.name, args.arguments)
    except WrongArguments as error:
        raise UsageError(f"gardu command: {error}") from error
    return run_guarded(lambda args: _run(args, arguments), args)


def _check(args: Namespace) -> None:
    """Raise :class:`WrongArguments` for a wrong combination of options."""
    if args.envelope is None and args.name is None:
        raise WrongArguments(
            _("the following arguments are required: {what}").format(what="NAME" if args.gateway else "GATEWAY")
        )
    if args.envelope is not None and args.gateway is not None:
        raise WrongArguments(_("--envelope already names the gateway and the command"))
    if args.out is not None and not args.key:
        raise WrongArguments(_("the following arguments are required: {what}").format(what="--key"))
    if not 0 < args.timeout <= LIFETIME_MS / 1000:
        raise WrongArguments(_("argument {what}: invalid value: {value}").format(what="--timeout", value=args.timeout))


def _run(args: Namespace, arguments: dict[str, Any]) -> int:
    keys = load_private_keys(args.key)
    if args.envelope is not None:
        prepared = countersign(parse_prepared(read_file(args.envelope), args.envelope), keys, args.envelope)
        print(prepared, file=sys.stderr)
    else:
        lifetime_s = args.timeout if args.out is None else LIFETIME_MS / 1000
        prepared = prepare(args.gateway, args.name, arguments, keys, lifetime_s)
    if args.out is not None:
        write_file(args.out, prepared.payload + b"\n")
        if args.envelope is None:
            print(prepared, file=sys.stderr)
        return 0
    try:
        reply = asyncio.run(_send(prepared, args.timeout, BrokerOptions.of(args)))
    except (ConnectionLost, TimeoutError, LookupError) as error:
        raise CommandFailed(error.args[0]) from error
    print(json_text(reply))
    return 0 if reply.get("status") in ("done", "accepted") else 1


async def _send(prepared: PreparedCommand, timeout_s: float, options: BrokerOptions) -> dict[str, Any]:
    client = await CommandClient.open(options)
    try:
        return await client.send(prepared, timeout_s)
    finally:
        await client.close()
