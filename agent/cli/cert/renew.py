"""``gardu cert renew GATEWAY…``: issues a new certificate for a new key, which never leaves the gateway."""

import asyncio
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.base.display import one_line
from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.command_client import CommandClient
from agent.cli.shared.maintainer_files import CommandFailed, load_private_keys
from agent.delivery.connection import ConnectionLost

if TYPE_CHECKING:
    from agent.fleet.io.signing_key import SigningKey

_STEP_S = 60.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    parser.add_argument(
        "gateway", metavar="GATEWAY", nargs="+", help=_("gateways to renew, one after the other, until one fails")
    )
    sign = _(
        "program that issues the certificate; it receives the gateway id as its last "
        "argument and the signed request on standard input"
    )
    parser.add_argument("--sign", metavar="COMMAND", required=True, help=sign)
    key = _("sign with this key of the role command")
    parser.add_argument("--key", metavar="KEY", type=Path, action="append", required=True, help=key)
    timeout = _("time limit for each step, in seconds; default: {n:.0f}").format(n=_STEP_S)
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=_STEP_S, help=timeout)
    add_broker_options(parser)


def run(args: Namespace) -> int:
    """Print a line for each gateway. Exit status 1: the gateway named last failed; the remaining ones were skipped."""
    if not 0 < args.timeout <= 86_400:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--timeout", value=args.timeout))
    try:
        sign = shlex.split(args.sign)
    except ValueError as error:
        raise CommandFailed(f"--sign: {error}") from error
    if not sign:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--sign", value=repr(args.sign)))
    try:
        asyncio.run(_renew(args, sign, load_private_keys(args.key)))
    except (ConnectionLost, LookupError, TimeoutError) as error:
        raise CommandFailed(error.args[0]) from error
    return 0


async def _renew(args: Namespace, sign: Sequence[str], keys: "list[SigningKey]") -> None:
    client = await CommandClient.open(BrokerOptions.of(args))
    try:
        for gateway in args.gateway:
            request = await _execute(client, gateway, "renew", {}, keys, args.timeout)
            certificate = await _issue(sign, gateway, str(request.get("signed", "")))
            installed = await _execute(client, gateway, "certificate", {"pem": certificate}, keys, args.timeout)
            ends_ms = installed.get("not_after")
            date = rfc_3339(ends_ms) if isinstance(ends_ms, int) and 0 < ends_ms < 253_402_300_800_000 else "-"
            print(_("{name}: renewed, valid until {date}").format(name=gateway, date=date), flush=True)
    finally:
        await client.close()


async def _execute(
    client: CommandClient,
    gateway: str,
    name: str,
    arguments: dict[str, Any],
    keys: "list[SigningKey]",
    timeout_s: float,
) -> dict[str, Any]:
    """Execute a command and return its result. Raises :class:`CommandFailed`, and as :meth:`CommandClient.request`."""
    reply = await client.request(gateway, name, arguments, keys, timeout_s)
    result = reply.get("result")
    if reply.get("status") != "done" or not isinstance(result, dict):
        raise CommandFailed(one_line(f"{gateway}: {name}: {reply.get('status')}: {reply.get('detail')}", 400))
    return result


async def _issue(sign: Sequence[str], gateway: str, request: str) -> str:
    """Run the signing program and return the certificate. Its standard error is passed through. Raises
    :class:`CommandFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *sign, gateway, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise CommandFailed(_("{file}: {why}").format(file=sign[0], why=error.strerror or error)) from error
    output, _unused = await process.communicate(request.encode())
    if process.returncode or b"-----BEGIN CERTIFICATE-----" not in output:
        text = _("{name}: {command} returned no certificate (exit status {status})").format(
            name=gateway, command=sign[0], status=process.returncode
        )
        raise CommandFailed(text)
    return output.decode(errors="replace")
