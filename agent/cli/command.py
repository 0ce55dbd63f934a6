"""``gardu command``: ask a gateway for something, and print its reply."""

import asyncio
import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.asking import Asking, CannotSend
from agent.cli.broker_options import BrokerOptions, add_broker_options
from agent.core import command
from agent.core.link import LinkLost
from agent.core.text import say

if TYPE_CHECKING:
    from agent.edges.signing_key import SigningKey


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("gateway", metavar="GATEWAY")
    parser.add_argument("name", metavar="NAME", help=", ".join(sorted(command.COMMANDS)))
    value = say("KEY=@FILE gives the text of a file")
    parser.add_argument("arguments", metavar="KEY=VALUE", nargs="*", type=_argument, help=value)
    parser.add_argument("--key", metavar="FILE", help=say("sign with this key of the role command"))
    parser.add_argument("--timeout", type=float, default=20.0, metavar="SECONDS")
    add_broker_options(parser)


def _argument(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentTypeError(say("{text} is not KEY=VALUE", text=text))
    if value.startswith("@"):
        return key, _text(Path(value[1:]))
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArgumentTypeError(say("{file}: {why}", file=file, why=why)) from error


def run(args: Namespace) -> int:
    """Send the command; print the reply as JSON. Exit status 1: no reply, or neither ``done`` nor ``accepted``."""
    try:
        reply = asyncio.run(_ask(args, BrokerOptions.of(args)))
    except (LinkLost, TimeoutError, LookupError, CannotSend) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(reply, ensure_ascii=False))
    return 0 if reply.get("status") in ("done", "accepted") else 1


async def _ask(args: Namespace, options: BrokerOptions) -> dict[str, Any]:
    keys = _keys(args)
    asking = await Asking.open(options)
    try:
        return await asking.ask(args.gateway, args.name, dict(args.arguments), keys, args.timeout)
    finally:
        await asking.close()


def _keys(args: Namespace) -> "list[SigningKey]":
    """Raises :class:`CannotSend`."""
    if not args.key:
        return []
    try:
        from agent.edges.signing_key import KeyRefused, load
    except ImportError:
        raise CannotSend(say("signatures need the extra updates: pip install 'gardu[updates]'")) from None
    try:
        return [load(Path(args.key))]
    except (KeyRefused, OSError) as error:
        raise CannotSend(f"{args.key}: {getattr(error, 'strerror', None) or error}") from error
