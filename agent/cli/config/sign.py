"""``gardu config sign FILE``: a configuration becomes an envelope; an envelope gets one signature more."""

import asyncio
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.base.i18n import _
from agent.base.trusted_time import rfc_3339
from agent.cli import UsageError
from agent.cli.config.differences import print_differences
from agent.cli.config.running import from_broker, from_file, unknown
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.maintainer_files import (
    CommandFailed,
    envelope,
    is_envelope,
    private_keys,
    read,
    toml,
    write,
)
from agent.cli.shared.recognition import add_trust_option, recogniser
from agent.config.document import CONFIRM_S, Document, encode_document, parse_document
from agent.config.io.catalog import Catalog
from agent.config.layers import Tables, local_keys, without_local
from agent.config.parse import parse_tables
from agent.delivery.connection import ConnectionLost
from agent.update.signed import dsse as dsse
from agent.update.signed.dsse import CONFIG_TYPE

if TYPE_CHECKING:
    from agent.fleet.io.signing_key import SigningKey

_DAYS = 30.0
_STAND_IN = {"site": "site", "sector": "health"}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    file = _("a configuration (TOML), or an envelope that needs another signature")
    parser.add_argument("file", metavar="FILE", type=Path, help=file)
    parser.add_argument("--key", metavar="KEY", type=Path, action="append", required=True, help=_("a private key"))
    gateway = _("the gateway that it is for; may be repeated")
    parser.add_argument("--gateway", metavar="ID", action="append", default=[], help=gateway)
    parser.add_argument("--version", metavar="N", type=int, default=None, help=_("higher than the last version"))
    parser.add_argument("--days", metavar="N", type=float, default=None, help=_("how many days it can be accepted"))
    confirm = _("how long the gateway tries it before it rolls back; default: 300")
    parser.add_argument("--confirm-s", metavar="SECONDS", type=float, default=None, help=confirm)
    parser.add_argument("--min-agent", metavar="VERSION", default=None, help=_("oldest agent that may use it"))
    without = _("omit what only the gateway's own files can set")
    parser.add_argument("--without-local", action="store_true", help=without)
    parser.add_argument("--out", metavar="FILE", type=Path, default=None, help=_("file to write; default: print"))
    running = _("show the changes compared with this configuration (TOML) or envelope")
    parser.add_argument("--running", metavar="FILE", type=Path, default=None, help=running)
    add_trust_option(parser)
    parser.add_argument("--yes", action="store_true", help=_("sign without asking"))
    add_broker_options(parser, default=None)


def run(args: Namespace) -> int:
    """Show what the configuration changes, ask, and print the envelope or write it to ``--out``. Exit status 1: the
    configuration is wrong, or the answer was no. Raises :class:`~agent.cli.UsageError` where there is nobody to ask."""
    raw = read(args.file)
    entries = _entries(raw, args) if is_envelope(raw) else None
    if entries is None:
        entries = dsse.table(CONFIG_TYPE, _document(_checked(toml(raw, args.file), args), args), {})
    keys = private_keys(args.key)
    document = parse_document(dsse.read(entries).payload)
    _show(document, args, [key.public for key in keys])
    if not args.yes:
        _ask()
    signed = _signed(entries, keys)
    if args.out is None:
        print(signed.decode())
    else:
        write(args.out, signed + b"\n")
    _tell(signed, args)
    return 0


def _show(document: Document, args: Namespace, keys: Sequence[bytes]) -> None:
    """What would be signed, and what it changes on each gateway."""
    print(
        _("version {version} for {names}, can be accepted until {date}, trial of {n:g} s").format(
            version=document.version,
            names=", ".join(document.gateways),
            date=rfc_3339(document.expires_ms),
            n=document.confirm_s,
        ),
        file=sys.stderr,
    )
    if args.running is not None:
        running = {"": from_file(args.running)}
    elif args.broker is not None:
        recognise, _unused = recogniser(keys, args.trust)
        try:
            found = asyncio.run(from_broker(BrokerOptions.of(args), document.gateways, recognise))
        except ConnectionLost as error:
            raise CommandFailed(str(error)) from error
        running = dict(found)
    else:
        running = {"": unknown()}
    for one in running.values():
        print(one.origin, file=sys.stderr)
        print_differences(one.tables, document.config, sys.stderr)


def _ask() -> None:
    """Raises :class:`CommandFailed` where the answer is no, and :class:`~agent.cli.UsageError`."""
    if not sys.stdin.isatty():
        raise UsageError("gardu config sign: " + _("no terminal to ask for confirmation: use --yes to sign"))
    print(_("Sign this?"), "[y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "ya"):
        raise CommandFailed(_("nothing was signed"))


def _document(config: Tables, args: Namespace) -> bytes:
    """The payload. Raises :class:`CommandFailed` for options that no gateway would accept."""
    now_ms = time.time_ns() // 1_000_000
    days = _DAYS if args.days is None else args.days
    if not 0 < days <= 7300:
        raise CommandFailed(_("{what}: invalid value {value}").format(what="--days", value=args.days))
    until_ms = now_ms + round(days * 86_400_000)
    confirm_s = CONFIRM_S if args.confirm_s is None else args.confirm_s
    try:
        return encode_document(config, args.gateway, args.version, now_ms, until_ms, confirm_s, args.min_agent or "")
    except TypeError as error:
        raise CommandFailed(_("{file}: a configuration cannot contain dates").format(file=args.file)) from error


def _checked(config: Tables, args: Namespace) -> Tables:
    """The remote part of the file. Raises :class:`CommandFailed` after every problem was told."""
    for name, value in (("--gateway", args.gateway), ("--version", args.version)):
        if not value:
            raise CommandFailed(_("missing argument: {what}").format(what=name))
    if args.without_local:
        config = without_local(config)
    local = list(local_keys(config))
    if local:
        names = ", ".join(local)
        message = _("only the gateway's own files can set {names}; --without-local omits them").format(names=names)
        raise CommandFailed(_("{file}: {why}").format(file=args.file, why=message))
    parsed = parse_tables({"gateway": {"id": args.gateway[0], **_STAND_IN}, **config}, Catalog())
    for problem in parsed.problems:
        print(f"{args.file}: {problem}", file=sys.stderr)
    # A driver may be installed on the gateway alone, as a profile of the technician's.
    if any(problem.level == "error" and problem.code != "unknown_driver" for problem in parsed.problems):
        raise CommandFailed(_("{file} is invalid; nothing was signed").format(file=args.file))
    return config


def _entries(raw: bytes, args: Namespace) -> Mapping[str, object]:
    """An envelope that gets one signature more. Raises :class:`CommandFailed`."""
    given = [args.gateway, args.version, args.days, args.confirm_s, args.min_agent]
    if any(given) or args.without_local:
        raise CommandFailed(
            _("{file} is an envelope: the configuration in it cannot be changed").format(file=args.file)
        )
    found, _unused = envelope(raw, args.file)
    if found.payload_type != CONFIG_TYPE:
        raise CommandFailed(_("{file} is not a signed configuration").format(file=args.file))
    entries: Mapping[str, object] = json.loads(raw)
    return entries


def _signed(entries: Mapping[str, object], keys: "Sequence[SigningKey]") -> bytes:
    found = dsse.read(entries)
    signatures = {key.public: key.sign(found.signed) for key in keys}
    signed = dsse.written(dsse.countersigned(entries, signatures))
    dsse.parse(signed)
    return signed


def _tell(signed: bytes, args: Namespace) -> None:
    found, document = envelope(signed, args.file)
    print(
        _("version {version} for {names}, can be accepted until {date}; signatures: {count}").format(
            version=document.version,
            names=", ".join(document.gateways),
            count=len(found.signatures),
            date=rfc_3339(document.expires_ms),
        ),
        file=sys.stderr,
    )
