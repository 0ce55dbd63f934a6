"""``gardu keygen FILE``: creates a key pair without showing the private key."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from agent.base.i18n import _
from agent.cli.shared.actions import run_guarded
from agent.cli.shared.maintainer_files import CommandFailed, write_file
from agent.update.signed.dsse import key_id


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "file", metavar="FILE", type=Path, help=_("file for the private key; the public key goes to FILE.pub")
    )


def run(args: Namespace) -> int:
    """Write FILE (mode 0600) and FILE.pub, and print the public key. Exit status 1: one of them exists."""
    return run_guarded(_create, args)


def _create(args: Namespace) -> int:
    from agent.fleet.io.signing_key import create

    file: Path = args.file
    public = file.with_name(f"{file.name}.pub")
    if public.exists():
        raise CommandFailed(_("{file} already exists; a key is never overwritten").format(file=public))
    try:
        key = create(file)
    except FileExistsError as error:
        raise CommandFailed(_("{file} already exists; a key is never overwritten").format(file=file)) from error
    write_file(public, f"{key.public.hex()}\n".encode())
    print(key.public.hex(), flush=True)
    print(
        _("key {id}: keep {file} private; share {public}").format(id=key_id(key.public), file=file, public=public),
        file=sys.stderr,
    )
    return 0
