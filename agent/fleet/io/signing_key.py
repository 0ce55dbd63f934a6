"""A maintainer's private key: a PKCS #8 file that only its owner can read."""

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.base.i18n import _

_MAX_BYTES = 4096


class InvalidKey(Exception):
    """The file is not a key, or its permissions are not safe; the text says what to do."""


class SigningKey:
    """An Ed25519 key pair. The private half never leaves this object, except into its file."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()
        """32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(message)


def create(path: Path) -> SigningKey:
    """Create a key and write it to a new file, mode 0600. Raises :class:`OSError`, also if the file exists."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return SigningKey(key)


def load(path: Path) -> SigningKey:
    """Load a key. Raises :class:`InvalidKey` and :class:`OSError`."""
    with path.open("rb") as stream:
        if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077:
            raise InvalidKey(_("others can read this key: run chmod 600 {path}").format(path=path))
        text = stream.read(_MAX_BYTES)
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidKey(_("not a private key: create one with gardu keygen")) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidKey(_("not an Ed25519 key: create one with gardu keygen"))
    return SigningKey(key)
