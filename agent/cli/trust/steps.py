"""The steps of ``gardu trust`` that edit the list of roots.

A change appends root N+1. It counts once enough keys of root N and of root N+1 have signed it. Until then, further
changes go into the same root, and each maintainer adds a signature with ``trust sign``.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from agent.base.i18n import _
from agent.base.timekeeping.trusted_time import rfc_3339
from agent.cli.shared.maintainer_files import CommandFailed, load_public_key, load_public_keys, write_file
from agent.cli.trust.file import TrustFile
from agent.update.signed.dsse import Role, key_id
from agent.update.signed.trust import ROLES, RoleName, Root, encode_root, format_fingerprint, parse_root

_DAYS = 730.0


def add_steps(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add a parser for each step."""

    def step(name: str, description: str, act: Callable[[Namespace], int], *words: str) -> ArgumentParser:
        parser = subparsers.add_parser(name, help=description, description=description, allow_abbrev=False)
        parser.add_argument("file", metavar="FILE", type=Path, help=_("trust file, such as trust.json"))
        for word in words:
            choices = ROLES if word == "role" else None
            kind = int if word == "number" else str
            parser.add_argument(word, metavar=word.upper(), choices=choices, type=kind, help=_argument_help(word))
        parser.set_defaults(act=act)
        return parser

    signed = {
        "create": _create,
        "add": _add,
        "remove": _remove,
        "threshold": _threshold,
        "rotate": _rotate,
        "floor": _floor,
        "renew": _renew,
    }
    words = {
        "add": ("role", "public"),
        "remove": ("role", "public"),
        "threshold": ("role", "number"),
        "rotate": ("role", "old", "new"),
        "floor": ("number",),
    }
    for name, act in signed.items():
        parser = step(name, _meaning(name), act, *words.get(name, ()))
        days = _("days until the root expires; default: {n:.0f}").format(n=_DAYS)
        parser.add_argument("--days", metavar="DAYS", type=float, default=_DAYS, help=days)
        parser.add_argument(
            "--key", metavar="KEY", type=Path, action="append", default=[], help=_("private key; may be repeated")
        )
        if name == "create":
            for role in ROLES:
                # The attribute "command" already belongs to the parser above this one.
                key = _("public key of the role {role}; may be repeated").format(role=role)
                parser.add_argument(
                    f"--{role}", dest=f"{role}_role", metavar="PUBLIC", action="append", default=[], help=key
                )
            threshold = _("how many keys of a role must sign; default: 2, or 1 if the role has only one key")
            parser.add_argument("--threshold", metavar="ROLE=N", action="append", default=[], help=threshold)
    sign = step("sign", _("sign the last root while it is incomplete"), _sign)
    sign.add_argument(
        "--key", metavar="KEY", type=Path, action="append", required=True, help=_("private key; may be repeated")
    )
    show = step("show", _("show all roots, and the signatures that the last one lacks"), _show)
    show.add_argument("--json", action="store_true", help=_("print JSON"))


def _argument_help(word: str) -> str:
    return {
        "role": _("one of: {names}").format(names=", ".join(ROLES)),
        "public": _("public key, or the file that contains it"),
        "number": _("an integer"),
        "old": _("public key to replace"),
        "new": _("public key that replaces it"),
    }[word]


def _meaning(name: str) -> str:
    return {
        "create": _("create the list with its first root"),
        "add": _("add a key to a role"),
        "remove": _("remove a key from a role"),
        "threshold": _("set how many keys of a role must sign"),
        "rotate": _("replace a key"),
        "floor": _("set the lowest accepted configuration version"),
        "renew": _("change the expiry date of the root"),
    }[name]


def _create(args: Namespace) -> int:
    if args.file.exists():
        raise CommandFailed(_("{file} already exists; existing roots are never overwritten").format(file=args.file))
    thresholds = dict(_threshold_option(text) for text in args.threshold)
    keys = {"root": args.root_role, "config": args.config_role, "command": args.command_role or args.config_role}
    roles: dict[RoleName, Role] = {}
    for role in ROLES:
        if not keys[role]:
            raise CommandFailed(_("the following arguments are required: {what}").format(what=f"--{role}"))
        roles[role] = _chosen(role, load_public_keys(keys[role]), thresholds.get(role))
    status = _save(TrustFile(args.file, []), 1, roles, None, args)
    _warn(roles)
    return status


def _add(args: Namespace) -> int:
    key = load_public_key(args.public)

    def with_key(role: Role) -> Role:
        if key in role.keys:
            raise CommandFailed(_("{role} already has the key {id}").format(role=args.role, id=key_id(key)))
        return replace(role, keys=(*role.keys, key))

    return _change(args, with_key)


def _remove(args: Namespace) -> int:
    def without_key(role: Role) -> Role:
        removed = _key_of(args.role, role, args.public)
        return replace(role, keys=tuple(key for key in role.keys if key != removed))

    return _change(args, without_key)


def _threshold(args: Namespace) -> int:
    return _change(args, lambda role: replace(role, threshold=args.number))


def _rotate(args: Namespace) -> int:
    new = load_public_key(args.new)

    def rotated(role: Role) -> Role:
        if new in role.keys:
            raise CommandFailed(_("{role} already has the key {id}").format(role=args.role, id=key_id(new)))
        old = _key_of(args.role, role, args.old)
        return replace(role, keys=tuple(new if key == old else key for key in role.keys))

    return _change(args, rotated)


def _floor(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    return _save(file, file.next_version, file.last.roles, args.number, args)


def _renew(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    return _save(file, file.next_version, file.last.roles, file.pending_floor, args)


def _sign(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    if file.pending is None:
        raise CommandFailed(_("{file}: every root is complete").format(file=args.file))
    return _write(file.signed_by(args.key), args.file)


def _show(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    if args.json:
        print(json.dumps([_to_json(root) for root in file.roots]))
    else:
        for root in file.roots:
            _print_root(root, file.pending is root)
    _print_missing(file, sys.stderr if args.json else sys.stdout)
    return 0


def _change(args: Namespace, change: Callable[[Role], Role]) -> int:
    """Change one role in root N+1."""
    file = TrustFile.load(args.file)
    name: RoleName = args.role
    role = change(file.last.roles[name])
    roles = {**file.last.roles, name: _role(name, role.keys, role.threshold)}
    status = _save(file, file.next_version, roles, file.pending_floor, args)
    _warn({name: roles[name]})
    return status


def _warn(roles: Mapping[RoleName, Role]) -> None:
    """Warn what a thief can do with one stolen key if the threshold is 1."""
    effects = {
        "root": _("replace your keys and thereby take over every gateway"),
        "config": _("change the sensors of every gateway and send its readings to another broker"),
        "command": _("switch outputs, restart sensors and renew certificates where gateways allow it"),
    }
    for name, role in roles.items():
        if role.threshold == 1:
            print(
                _("warning: one key of the role {role} is enough: whoever steals it can {what}").format(
                    role=name, what=effects[name]
                ),
                file=sys.stderr,
            )


def _save(file: TrustFile, version: int, roles: Mapping[RoleName, Role], floor: int | None, args: Namespace) -> int:
    if not 0 < args.days <= 7300:
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--days", value=args.days))
    now_ms = time.time_ns() // 1_000_000
    root = Root(version, now_ms, now_ms + round(args.days * 86_400_000), roles, floor)
    parse_root(encode_root(root))
    return _write(file.with_pending(root).signed_by(args.key), args.file)


def _write(file: TrustFile, path: Path) -> int:
    write_file(path, file.encoded())
    _print_result(file)
    return 0


def _chosen(name: str, keys: tuple[bytes, ...], threshold: int | None) -> Role:
    """Return a role. By default two keys must sign if it has at least two."""
    return _role(name, keys, min(2, len(keys)) if threshold is None else threshold)


def _role(name: str, keys: tuple[bytes, ...], threshold: int) -> Role:
    if not 1 <= threshold <= len(keys):
        raise CommandFailed(
            _("the threshold of {role} must be between 1 and {count} (its number of keys), not {needed}").format(
                role=name, count=len(keys), needed=threshold
            )
        )
    return Role(keys, threshold)


def _key_of(name: str, role: Role, text: str) -> bytes:
    """Return a key of a role, given by its id, its digits or a file that contains them."""
    for key in role.keys:
        if text == key_id(key):
            return key
    key = load_public_key(text)
    if key not in role.keys:
        raise CommandFailed(_("{role} has no key {id}").format(role=name, id=key_id(key)))
    return key


def _threshold_option(text: str) -> tuple[str, int]:
    role, _unused, number = text.partition("=")
    if role not in ROLES or not number.isdecimal():
        raise CommandFailed(_("argument {what}: invalid value: {value}").format(what="--threshold", value=text))
    return role, int(number)


def _print_root(root: Root, pending: bool) -> None:
    state = _("incomplete") if pending else _("complete")
    print(
        _("root {version}, {state}, expires {date}").format(
            version=root.version, state=state, date=rfc_3339(root.expires_ms)
        )
    )
    print(f"  {format_fingerprint(root.fingerprint)}")
    for name in ROLES:
        role = root.roles[name]
        ids = " ".join(key_id(key) for key in role.keys)
        print(f"  {name:8} {_('{needed} of {count}').format(needed=role.threshold, count=len(role.keys))}: {ids}")
    if root.floor is not None:
        print("  " + _("the next configuration must have a version above {version}").format(version=root.floor))


def _to_json(root: Root) -> dict[str, object]:
    table: dict[str, object] = json.loads(encode_root(root))
    return table | {"fingerprint": root.fingerprint}


def _print_result(file: TrustFile) -> None:
    """Print whether the last root is complete after a step."""
    if file.pending is None:
        complete = _("root {version} is complete: {fingerprint}").format(
            version=file.last.version, fingerprint=format_fingerprint(file.last.fingerprint)
        )
        print(complete, file=sys.stderr)
    _print_missing(file, sys.stderr)


def _print_missing(file: TrustFile, out: TextIO) -> None:
    """Print which signatures an incomplete root has."""
    for root, signers in file.signers() if file.pending else ():
        line = _("root {version} has {count} of {needed} signatures by keys of root {of}").format(
            version=file.last.version, count=signers, needed=root.roles["root"].threshold, of=root.version
        )
        print(line, file=out)
