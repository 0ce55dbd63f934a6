"""A certificate authority for a test, made with the ``openssl`` command."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Issued(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A CA with its files in ``folder``; ``certificate`` is what the others must trust."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = folder / f"{name}.key"
        self.certificate = folder / f"{name}.pem"
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        added = [word for extension in extensions for word in ("-addext", extension)]
        files = ("-keyout", self._key, "-out", self.certificate)
        _openssl("req", "-x509", *_KEY, *files, "-subj", f"/CN={name}", "-days", "2", *added)

    def issue(self, name: str, alternative: str = "", days: int = 1) -> Issued:
        """A certificate for ``name``. ``alternative``: the host, as in ``IP:127.0.0.1``; ``days`` below 0: it has
        expired."""
        stem = f"{name}{'' if days > 0 else '-expired'}"
        issued = Issued(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        request, extensions = self._folder / f"{stem}.csr", self._folder / f"{stem}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n" if alternative else "basicConstraints=CA:FALSE\n")
        _openssl("req", "-new", *_KEY, "-keyout", issued.key, "-out", request, "-subj", f"/CN={name}")
        words = (*self._sign(request, issued.certificate), "-extfile", extensions)
        try:
            _openssl(*words, "-days", days)
        except subprocess.CalledProcessError:
            # OpenSSL 3.5 refuses negative days, and only since 3.4 there is another way to say it.
            _openssl(*words, "-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        return issued

    def issue_for(self, key: Path, name: str, days: int = 9) -> Path:
        """A certificate for a key that somebody else made."""
        request, issued = self._folder / "theirs.csr", self._folder / "theirs.pem"
        _openssl("req", "-new", "-key", key, "-out", request, "-subj", f"/CN={name}")
        _openssl(*self._sign(request, issued), "-days", days)
        return issued

    def _sign(self, request: Path, issued: Path) -> tuple[object, ...]:
        own = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        return ("x509", "-req", "-in", request, *own, "-out", issued)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
