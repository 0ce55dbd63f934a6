"""``gardu command``: ask a gateway for something, and print its reply."""

import asyncio
import json
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from secrets import token_hex
from typing import Any

from agent.cli.broker_options import BrokerOptions, add_broker_options
from agent.core import command, wire
from agent.core.link import LinkLost, Message
from agent.core.text import say


class CannotSend(Exception):
    """The message cannot be made; the text says why."""


_DEPTH = 4
"""Levels that the topic root may have for a gateway to be found."""
_FIND_S = 5.0


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
    """Find the gateway by its retained ``state``, ask, and wait. Raises :class:`LinkLost`, :class:`LookupError` where
    there is no such gateway, :class:`TimeoutError` where it does not reply."""
    link = await options.connect(f"gardu-command-{token_hex(4)}")
    watching = asyncio.create_task(link.lost())
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    link.on_message = inbox.put_nowait
    try:
        await link.subscribe([f"{'+/' * depth}v1/+/+/{args.gateway}/state" for depth in range(1, _DEPTH + 1)])
        base = await _base(inbox, args.gateway)
        identity = token_hex(8)
        topics = wire.Topics(base)
        await link.subscribe([topics.reply(identity)])
        expires = int(1000 * (time.time() + args.timeout))
        asked = {"id": identity, "exp": expires, **dict(args.arguments)}
        payload = _payload(asked, args)
        if len(payload) > command.most_bytes(args.name):
            raise CannotSend(say("too long for a command: at most {count} bytes", count=command.most_bytes(args.name)))
        link.publish(f"{base}/command/{args.name}", payload)
        return await _reply(inbox, topics.reply(identity), args)
    finally:
        watching.cancel()
        await link.close()


def _payload(asked: dict[str, Any], args: Namespace) -> bytes:
    """The message, signed where there is a key. Raises :class:`CannotSend`."""
    if not args.key:
        return json.dumps(asked).encode()
    from agent.core.envelope import COMMAND_TYPE, pre_authentication, table, written

    try:
        from agent.edges.signing_key import KeyRefused, load
    except ImportError:
        raise CannotSend(say("signatures need the extra updates: pip install 'gardu[updates]'")) from None
    try:
        key = load(Path(args.key))
    except (KeyRefused, OSError) as error:
        raise CannotSend(f"{args.key}: {getattr(error, 'strerror', None) or error}") from error
    inner = json.dumps({**asked, "command": args.name, "gateway": args.gateway}).encode()
    return written(table(COMMAND_TYPE, inner, {key.public: key.sign(pre_authentication(COMMAND_TYPE, inner))}))


async def _base(inbox: "asyncio.Queue[Message]", gateway: str) -> str:
    try:
        async with asyncio.timeout(_FIND_S):
            while True:
                message = await inbox.get()
                if message.payload:
                    return message.topic.removesuffix("/state")
    except TimeoutError:
        raise LookupError(say("no gateway {name} has told its state to this broker", name=gateway)) from None


async def _reply(inbox: "asyncio.Queue[Message]", topic: str, args: Namespace) -> dict[str, Any]:
    try:
        async with asyncio.timeout(args.timeout):
            while True:
                message = await inbox.get()
                if message.topic == topic:
                    reply = json.loads(message.payload)
                    return reply if isinstance(reply, dict) else {}
    except TimeoutError:
        text = say("{name} did not reply within {n:.0f} s", name=args.gateway, n=args.timeout)
        raise TimeoutError(text) from None
