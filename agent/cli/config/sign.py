"""``gardu config sign FILE``: signs a configuration, or adds a signature to an envelope."""

import asyncio
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.cli import UsageError
from agent.cli.config.differences import print_differences
from agent.cli.config.running import from_broker, from_file, unknown
from agent.cli.shared.broker_options import BrokerOptions, add_broker_options
from agent.cli.shared.maintainer_files import (
    CommandFailed,
    is_envelope,
    load_private_keys,
    parse_envelope,
    parse_toml,
    read_file,
    write_file,
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
_PLACEHOLDERS = {"site": "site", "sector": "health"}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this action."""
    file = _("a configuration (TOML), or an envelope that needs another signature")
    parser.add_argument("file", metavar="FILE", type=Path, help=file)
    parser.add_argument(
        "--key", metavar="KEY", type=Path, action="append", required=True, help=_("private key; may be repeated")
    )
    gateway = _("gateway that the configuration is for; may be repeated")
    parser.add_argument("--gateway", metavar="ID", action="append", default=[], help=gateway)
    parser.add_argument(
        "--version",
        metavar="N",
        type=int,
        default=None,
        help=_("version of the configuration; must be higher than the last one"),
    )
    days = _("days until it expires; default: {n:.0f}").format(n=_DAYS)
    parser.add_argument("--days", metavar="DAYS", type=float, default=None, help=days)
    confirm = _("how long a gateway tries it before rolling back, in seconds; default: {n:.0f}").format(n=CONFIRM_S)
    parser.add_argument("--confirm-s", metavar="SECONDS", type=float, default=None, help=confirm)
    parser.add_argument("--min-agent", metavar="VERSION", default=None, help=_("oldest agent that may use it"))
    without = _("omit keys that can only be set in the gateway's own files")
    parser.add_argument("--without-local", action="store_true", help=without)
    parser.add_argument("--out", metavar="FILE", type=Path, default=None, help=_("file to write; default: print"))
    running = _("show the changes compared with this configuration (TOML) or envelope")
    parser.add_argument("--running", metavar="FILE", type=Path, default=None, help=running)
    add_trust_option(parser)
    parser.add_argument("--yes", action="store_true", help=_("sign without asking"))
    add_broker_options(parser, default=None)


def run(args: Namespace) -> int:
    """Show what the configuration changes, ask, and print the envelope or write it to ``--out``. Exit status 1: the
    configuration is invalid, or the answer was no. Raises :class:`~agent.cli.UsageError` without a terminal to ask."""
    raw = read_file(args.file)
    entries = _entries(raw, args) if is_envelope(raw) else None
    if entries is None:
        entries = dsse.to_json(CONFIG_TYPE, _document(_checked(parse_toml(raw, args.file), args), args), {})
    keys = load_private_keys(args.key)
    document = parse_document(dsse.from_json(entries).payload)
    _show(document, args, [key.public for key in keys])
    if not args.yes:
        _confirm()
    signed = _signed(entries, keys)
    if args.out is None:
        print(signed.decode())
    else:
        write_file(args.out, signed + b"\n")
    _print_summary(signed, args)
    return 0


def _show(document: Document, args: Namespace, keys: Sequence[bytes]) -> None:
    """Show what is about to be signed, and what it changes on each gateway."""
    print(
        _("version {version} for {names}, valid until {date}, trial of {n:g} s").format(
            version=document.version,
            names=", ".join(document.gateways),
            date=rfc_3339(document.expires_ms),
            n=document.confirm_s,
        ),
        file=sys.stderr,
    )
    if args.running is not None:
        baselines = {"": from_file(args.running)}
    elif args.broker is not None:
        recognise, _unused = recogniser(keys, args.trust)
        try:
            published = asyncio.run(from_broker(BrokerOptions.of(args), document.gateways, recognise))
        except ConnectionLost as error:
            raise CommandFailed(str(error)) from error
        baselines = dict(published)
    else:
        baselines = {"": unknown()}
    for baseline in baselines.values():
        print(baseline.origin, file=sys.stderr)
        print_differences(baseline.tables, document.config, sys.stderr)


def _confirm() -> None:
    """Ask for confirmation. Raises :class:`CommandFailed` if the answer is no, and :class:`~agent.cli.UsageError`."""
    if not sys.stdin.isatty():
        raise UsageError("gardu config sign: " + _("no terminal to ask for confirmation: use --yes to sign"))
    print(_("Sign this?"), "[y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "ya"):
        raise CommandFailed(_("nothing was signed"))


def _document(config: Tables, args: Namespace) -> bytes:
    """Return the payload. Raises :class:`CommandFailed` for options that no gateway would accept."""
    now_ms = time.time_ns() // 1_000_000
    days = _DAYS if args.days is None else args.days
    if not 0 < days <= 7300:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--days", value=args.days))
    until_ms = now_ms + round(days * 86_400_000)
    confirm_s = CONFIRM_S if args.confirm_s is None else args.confirm_s
    try:
        return encode_document(config, args.gateway, args.version, now_ms, until_ms, confirm_s, args.min_agent or "")
    except TypeError as error:
        raise CommandFailed(_("{file}: a configuration cannot contain dates").format(file=args.file)) from error


def _checked(config: Tables, args: Namespace) -> Tables:
    """Return the remote part of the file. Raises :class:`CommandFailed` after printing every problem."""
    for name, value in (("--gateway", args.gateway), ("--version", args.version)):
        if not value:
            raise CommandFailed(_("the following arguments are required: {what}").format(what=name))
    if args.without_local:
        config = without_local(config)
    local = list(local_keys(config))
    if local:
        names = ", ".join(local)
        message = _("{names} can only be set in the gateway's own files; use --without-local to omit them").format(
            names=names
        )
        raise CommandFailed(_("{file}: {why}").format(file=args.file, why=message))
    parsed = parse_tables({"gateway": {"id": args.gateway[0], **_PLACEHOLDERS}, **config}, Catalog())
    for problem in parsed.problems:
        print(f"{args.file}: {problem}", file=sys.stderr)
    # A driver that is unknown here may be a profile that only the gateway has.
    if any(problem.level == "error" and problem.code != "unknown_driver" for problem in parsed.problems):
        raise CommandFailed(_("{file} is invalid; nothing was signed").format(file=args.file))
    return config


def _entries(raw: bytes, args: Namespace) -> Mapping[str, object]:
    """Return an envelope that needs another signature, in its JSON form. Raises :class:`CommandFailed`."""
    changes = [args.gateway, args.version, args.days, args.confirm_s, args.min_agent]
    if any(changes) or args.without_local:
        raise CommandFailed(
            _("{file} is an envelope: the configuration in it cannot be changed").format(file=args.file)
        )
    found, _unused = parse_envelope(raw, args.file)
    if found.payload_type != CONFIG_TYPE:
        raise CommandFailed(_("{file} is not a signed configuration").format(file=args.file))
    entries: Mapping[str, object] = json.loads(raw)
    return entries


def _signed(entries: Mapping[str, object], keys: "Sequence[SigningKey]") -> bytes:
    found = dsse.from_json(entries)
    signatures = {key.public: key.sign(found.signed) for key in keys}
    signed = dsse.encode(dsse.countersign(entries, signatures))
    dsse.parse(signed)
    return signed


def _print_summary(signed: bytes, args: Namespace) -> None:
    found, document = parse_envelope(signed, args.file)
    print(
        _("version {version} for {names}, valid until {date}; signatures: {count}").format(
            version=document.version,
            names=", ".join(document.gateways),
            count=len(found.signatures),
            date=rfc_3339(document.expires_ms),
        ),
        file=sys.stderr,
    )
