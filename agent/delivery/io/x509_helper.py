"""A program of its own: keys, requests and certificates. It ends, and its library is out of memory again.

Standard input and output: one JSON object each. ``do`` is one of:

- ``request``: for the gateway ``name``, whose certificate and key lie at the paths ``own``: a new P-256 ``key``, the
  request ``csr`` for it, and ``signed``, the request signed by the key of the certificate (CMS, the certificate in it).
- ``look``: what a ``certificate`` says: ``names`` (common names), ``begins_ms``, ``ends_ms``, ``plain`` (it and what
  follows it, without anything else), and ``matches``: whether ``key`` is its key (true where none is given).

All keys and certificates are PEM. Exit status 3: the library is not installed; 4: what was given cannot be read.
"""

import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

LIBRARY_MISSING = 3
UNREADABLE = 4


def request(asked: Mapping[str, Any]) -> dict[str, object]:
    """Make a key and a request. Raises :class:`ValueError` and :class:`OSError` where the own ones cannot be used."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
        pkcs7,
    )

    certificate_file, key_file = (Path(one) for one in asked["own"])
    own = x509.load_pem_x509_certificate(_block(certificate_file.read_text(), "CERTIFICATE"))
    own_key: Any = load_pem_private_key(_block(key_file.read_text(), r"(?:EC |RSA )?PRIVATE KEY"), None)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, asked["name"])])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    encoded = csr.public_bytes(Encoding.PEM)
    signer = pkcs7.PKCS7SignatureBuilder().set_data(encoded).add_signer(own, own_key, hashes.SHA256())
    return {
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "csr": encoded.decode(),
        "signed": signer.sign(Encoding.PEM, [pkcs7.PKCS7Options.Binary]).decode(),
    }


def look(asked: Mapping[str, Any]) -> dict[str, object]:
    """Read a certificate. Raises :class:`ValueError`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    chain = x509.load_pem_x509_certificates(asked["certificate"].encode())
    first = chain[0]
    matches = True
    if "key" in asked:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = load_pem_private_key(asked["key"].encode(), None)
        matches = key.public_key().public_bytes(*form) == first.public_key().public_bytes(*form)
    return {
        "names": [str(one.value) for one in first.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)],
        "begins_ms": _ms(first.not_valid_before_utc),
        "ends_ms": _ms(first.not_valid_after_utc),
        "plain": "".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        "matches": matches,
    }


def main() -> int:
    """Answer one question."""
    asked = json.load(sys.stdin)
    try:
        answer = {"request": request, "look": look}[asked["do"]](asked)
    except ImportError:
        return LIBRARY_MISSING
    except (ValueError, TypeError, OSError):
        return UNREADABLE
    json.dump(answer, sys.stdout)
    return 0


def _block(text: str, kind: str) -> bytes:
    found = re.search(f"-----BEGIN ({kind})-----.*?-----END \\1-----", text, re.DOTALL)
    if found is None:
        raise ValueError(kind)
    return found[0].encode()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


if __name__ == "__main__":
    sys.exit(main())
