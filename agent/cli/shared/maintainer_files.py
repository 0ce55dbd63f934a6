"""Reads and writes the files of a maintainer: configurations, envelopes and keys."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.base.errors import RejectedError
from agent.base.i18n import _
from agent.config.document import Document, parse_document
from agent.config.layers import Tables
from agent.update.signed.dsse import Envelope, parse
from agent.update.signed.trust import public_key

if TYPE_CHECKING:
    from agent.fleet.io.signing_key import SigningKey

_MAX_BYTES = 4 * 1024 * 1024


class CommandFailed(Exception):
    """The command failed; the text is the line to show."""


def read_file(path: Path) -> bytes:
    """Return a file's bytes. Raises :class:`OSError`, and :class:`CommandFailed` if it is too large."""
    with path.open("rb") as stream:
        raw = stream.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise CommandFailed(
            _("{file}: {why}").format(file=path, why=_("at most {count} bytes").format(count=_MAX_BYTES))
        )
    return raw


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file atomically: if the disk is full, the old file remains. Raises :class:`OSError`."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
    temporary.replace(path)


def load_tables(path: Path) -> Tables:
    """Load a TOML file. Raises :class:`CommandFailed` and :class:`OSError`."""
    return parse_toml(read_file(path), path)


def parse_toml(raw: bytes, path: Path) -> Tables:
    """Parse the bytes of a TOML file. Raises :class:`CommandFailed`."""
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error


def is_envelope(raw: bytes) -> bool:
    """Return whether a file contains an envelope, not TOML."""
    return raw.lstrip()[:1] == b"{"


def parse_envelope(raw: bytes, path: Path) -> tuple[Envelope, Document]:
    """Parse an envelope and its document, without verifying signatures. Raises :class:`CommandFailed`."""
    try:
        found = parse(raw)
        return found, parse_document(found.payload)
    except RejectedError as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error


def load_private_keys(paths: Sequence[Path]) -> "list[SigningKey]":
    """Load private keys. Raises :class:`CommandFailed`, :class:`OSError`, and :class:`ImportError` without the
    extra."""
    from agent.fleet.io.signing_key import InvalidKey, load

    found = []
    for path in paths:
        try:
            found.append(load(path))
        except InvalidKey as error:
            raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error
    return found


def load_public_keys(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Return public keys, each given as 64 hex digits or as the name of a file that contains them. Raises
    :class:`CommandFailed` and :class:`OSError`."""
    return tuple(dict.fromkeys(load_public_key(text) for text in texts))


def load_public_key(text: str) -> bytes:
    """Return one public key, as :func:`load_public_keys`."""
    key = public_key(text)
    if key is None:
        path = Path(text)
        key = public_key(read_file(path).decode(errors="replace").strip())
        if key is None:
            raise CommandFailed(
                _("{file} is not a public key (64 hexadecimal digits, as gardu keygen writes them)").format(file=path)
            )
    return key
