"""What ``gardu trust`` does with the list of roots, which say whose signatures count.

A change appends root N+1, which counts once enough keys of root N and of itself have signed it; until then further
changes go into the same root, and anyone may add a signature with ``trust sign``.
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
from agent.base.trusted_time import rfc_3339
from agent.cli.shared.maintainer_files import CommandFailed, public_key_of, public_keys, write
from agent.cli.trust.file import TrustFile
from agent.update.signed.dsse import Role, key_id
from agent.update.signed.trust import ROLES, RoleName, Root, encode_root, format_fingerprint, parse_root

_DAYS = 730.0


def add_steps(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """One parser for each thing that can be done with a trust file."""

    def step(name: str, does: str, act: Callable[[Namespace], int], *words: str) -> ArgumentParser:
        one = subparsers.add_parser(name, help=does, description=does, allow_abbrev=False)
        one.add_argument("file", metavar="FILE", type=Path, help=_("trust file, such as trust.json"))
        for word in words:
            choices = ROLES if word == "role" else None
            kind = int if word == "number" else str
            one.add_argument(word, metavar=word.upper(), choices=choices, type=kind, help=_argument_help(word))
        one.set_defaults(act=act)
        return one

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
        one = step(name, _meaning(name), act, *words.get(name, ()))
        one.add_argument("--days", metavar="DAYS", type=float, default=_DAYS, help=_("days until the root expires"))
        one.add_argument("--key", metavar="KEY", type=Path, action="append", default=[], help=_("a private key"))
        if name == "create":
            for role in ROLES:
                # Not "command": that is the name of the command itself, in the parser above this one.
                key = _("public key of the role {role}; may be repeated").format(role=role)
                one.add_argument(
                    f"--{role}", dest=f"{role}_role", metavar="PUBLIC", action="append", default=[], help=key
                )
            two = _("how many keys of a role must sign; default: 2 where the role has two keys")
            one.add_argument("--threshold", metavar="ROLE=N", action="append", default=[], help=two)
    sign = step("sign", _("sign the incomplete root"), _sign)
    sign.add_argument("--key", metavar="KEY", type=Path, action="append", required=True, help=_("a private key"))
    show = step("show", _("show all roots and what the last one lacks"), _show)
    show.add_argument("--json", action="store_true", help=_("print one JSON document"))


def _argument_help(word: str) -> str:
    return {
        "role": _("one of: {names}").format(names=", ".join(ROLES)),
        "public": _("public key, or the file that contains it"),
        "number": _("an integer"),
        "old": _("public key that is replaced"),
        "new": _("public key that takes its place"),
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
            raise CommandFailed(_("missing argument: {what}").format(what=f"--{role}"))
        roles[role] = _chosen(role, public_keys(keys[role]), thresholds.get(role))
    status = _keep(TrustFile(args.file, []), 1, roles, None, args)
    _warn(roles)
    return status


def _add(args: Namespace) -> int:
    key = public_key_of(args.public)

    def with_it(role: Role) -> Role:
        if key in role.keys:
            raise CommandFailed(_("{role} already has the key {id}").format(role=args.role, id=key_id(key)))
        return replace(role, keys=(*role.keys, key))

    return _change(args, with_it)


def _remove(args: Namespace) -> int:
    def without(role: Role) -> Role:
        key = _of_role(args.role, role, args.public)
        return replace(role, keys=tuple(one for one in role.keys if one != key))

    return _change(args, without)


def _threshold(args: Namespace) -> int:
    return _change(args, lambda role: replace(role, threshold=args.number))


def _rotate(args: Namespace) -> int:
    new = public_key_of(args.new)

    def exchanged(role: Role) -> Role:
        if new in role.keys:
            raise CommandFailed(_("{role} already has the key {id}").format(role=args.role, id=key_id(new)))
        old = _of_role(args.role, role, args.old)
        return replace(role, keys=tuple(new if one == old else one for one in role.keys))

    return _change(args, exchanged)


def _floor(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    return _keep(file, file.next_version, file.last.roles, args.number, args)


def _renew(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    return _keep(file, file.next_version, file.last.roles, file.pending_floor, args)


def _sign(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    if file.pending is None:
        raise CommandFailed(_("{file}: every root is complete").format(file=args.file))
    return _write(file.signed_by(args.key), args.file)


def _show(args: Namespace) -> int:
    file = TrustFile.load(args.file)
    if args.json:
        print(json.dumps([_plain(root) for root in file.roots]))
    else:
        for root in file.roots:
            _print_root(root, file.pending is root)
    _print_lack(file, sys.stderr if args.json else sys.stdout)
    return 0


def _change(args: Namespace, change: Callable[[Role], Role]) -> int:
    """Change one role, in root N+1."""
    file = TrustFile.load(args.file)
    name: RoleName = args.role
    role = change(file.last.roles[name])
    roles = {**file.last.roles, name: _role(name, role.keys, role.threshold)}
    status = _keep(file, file.next_version, roles, file.pending_floor, args)
    _warn({name: roles[name]})
    return status


def _warn(roles: Mapping[RoleName, Role]) -> None:
    """Say what one stolen key can do, where one is enough."""
    means = {
        "root": _("replace your keys and so take over every gateway"),
        "config": _("change the sensors of every gateway and send its readings to another broker"),
        "command": _("switch outputs, restart sensors and renew certificates where gateways allow it"),
    }
    for name, role in roles.items():
        if role.threshold == 1:
            print(
                _("warning: one key of the role {role} is enough: whoever steals it can {what}").format(
                    role=name, what=means[name]
                ),
                file=sys.stderr,
            )


def _keep(file: TrustFile, version: int, roles: Mapping[RoleName, Role], floor: int | None, args: Namespace) -> int:
    if not 0 < args.days <= 7300:
        raise CommandFailed(_("{what}: invalid value {value}").format(what="--days", value=args.days))
    now_ms = time.time_ns() // 1_000_000
    root = Root(version, now_ms, now_ms + round(args.days * 86_400_000), roles, floor)
    parse_root(encode_root(root))
    return _write(file.with_pending(root).signed_by(args.key), args.file)


def _write(file: TrustFile, path: Path) -> int:
    write(path, file.encoded())
    _print_end(file)
    return 0


def _chosen(name: str, keys: tuple[bytes, ...], threshold: int | None) -> Role:
    """A role; two of its keys must sign where there are two and nothing else is said."""
    return _role(name, keys, min(2, len(keys)) if threshold is None else threshold)


def _role(name: str, keys: tuple[bytes, ...], threshold: int) -> Role:
    if not 1 <= threshold <= len(keys):
        raise CommandFailed(
            _("{role} has only {count} keys; {needed} cannot sign").format(role=name, count=len(keys), needed=threshold)
        )
    return Role(keys, threshold)


def _of_role(name: str, role: Role, text: str) -> bytes:
    """A key of a role, by its id, its digits or a file with them."""
    for key in role.keys:
        if text == key_id(key):
            return key
    key = public_key_of(text)
    if key not in role.keys:
        raise CommandFailed(_("{role} has no key {id}").format(role=name, id=key_id(key)))
    return key


def _threshold_option(text: str) -> tuple[str, int]:
    role, _unused, number = text.partition("=")
    if role not in ROLES or not number.isdecimal():
        raise CommandFailed(_("{what}: invalid value {value}").format(what="--threshold", value=text))
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


def _plain(root: Root) -> dict[str, object]:
    plain: dict[str, object] = json.loads(encode_root(root))
    return plain | {"fingerprint": root.fingerprint}


def _print_end(file: TrustFile) -> None:
    """How the list stands after a step."""
    if file.pending is None:
        complete = _("root {version} is complete: {fingerprint}").format(
            version=file.last.version, fingerprint=format_fingerprint(file.last.fingerprint)
        )
        print(complete, file=sys.stderr)
    _print_lack(file, sys.stderr)


def _print_lack(file: TrustFile, out: TextIO) -> None:
    """The signatures under a root that is not complete."""
    for root, signers in file.signers() if file.pending else ():
        lack = _("root {version} has {count} of {needed} signatures by keys of root {of}").format(
            version=file.last.version, count=signers, needed=root.roles["root"].threshold, of=root.version
        )
        print(lack, file=out)
