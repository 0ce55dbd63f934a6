"""The files of a maintainer: configurations, envelopes, keys."""

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

_MOST_BYTES = 4 * 1024 * 1024


class CommandFailed(Exception):
    """The command cannot do it; the text is the line that is shown."""


def read(path: Path) -> bytes:
    """The file's bytes. Raises :class:`OSError`, and :class:`CommandFailed` for one that is far too large."""
    with path.open("rb") as stream:
        raw = stream.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise CommandFailed(
            _("{file}: {why}").format(file=path, why=_("at most {count} bytes").format(count=_MOST_BYTES))
        )
    return raw


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file: a full disk leaves the old one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
    temporary.replace(path)


def tables(path: Path) -> Tables:
    """The tables of a TOML file. Raises :class:`CommandFailed` and :class:`OSError`."""
    return toml(read(path), path)


def toml(raw: bytes, path: Path) -> Tables:
    """The tables of a TOML file that was read. Raises :class:`CommandFailed`."""
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error


def is_envelope(raw: bytes) -> bool:
    """Whether a file is an envelope, and no TOML."""
    return raw.lstrip()[:1] == b"{"


def envelope(raw: bytes, path: Path) -> tuple[Envelope, Document]:
    """An envelope and its document, of which no signature is verified. Raises :class:`CommandFailed`."""
    try:
        found = parse(raw)
        return found, parse_document(found.payload)
    except RejectedError as error:
        raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error


def private_keys(paths: Sequence[Path]) -> "list[SigningKey]":
    """Private keys. Raises :class:`CommandFailed` and :class:`OSError`, and :class:`ImportError` without the extra."""
    from agent.fleet.io.signing_key import KeyRefused, load

    found = []
    for path in paths:
        try:
            found.append(load(path))
        except KeyRefused as error:
            raise CommandFailed(_("{file}: {why}").format(file=path, why=error)) from error
    return found


def public_keys(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Public keys, each 64 hex digits or the name of a file with them. Raises :class:`CommandFailed` and
    :class:`OSError`."""
    return tuple(dict.fromkeys(public_key_of(text) for text in texts))


def public_key_of(text: str) -> bytes:
    """One of :func:`public_keys`."""
    key = public_key(text)
    if key is None:
        path = Path(text)
        key = public_key(read(path).decode(errors="replace").strip())
        if key is None:
            raise CommandFailed(
                _("{file} is not a public key (64 hexadecimal digits, as gardu keygen writes them)").format(file=path)
            )
    return key
