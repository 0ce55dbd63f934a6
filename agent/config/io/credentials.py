"""Files and secrets that the configuration names, for connections."""

import os
import ssl
from pathlib import Path

from agent.config.settings import Broker


def local_file(name: str) -> Path:
    """Return the path of a file in the configuration, which may be the name of a systemd credential."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if folder and "/" not in name and (Path(folder) / name).exists():
        return Path(folder) / name
    return Path(name)


def secret(name: str) -> str | None:
    """Return the content of a file that contains a password; ``None`` without a name. Raises :class:`OSError`."""
    return local_file(name).read_text().rstrip("\r\n") if name else None


def tls_context(settings: Broker) -> ssl.SSLContext:
    """Return the context for a connection. Raises :class:`OSError` with the file's name, or :class:`ValueError`."""
    for name in filter(None, (settings.ca_file, settings.cert_file, settings.key_file)):
        local_file(name).open("rb").close()  # ssl would not say which file it could not read
    context = ssl.create_default_context(
        cafile=str(local_file(settings.ca_file)) if settings.ca_file else None, cadata=settings.ca_pem or None
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file:
        key = local_file(settings.key_file) if settings.key_file else None
        context.load_cert_chain(local_file(settings.cert_file), key, password="")
    return context
