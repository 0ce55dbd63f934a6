"""A separate program for keys, requests and certificates; the memory of its library is freed when it exits.

Standard input and output: one JSON object each. ``do`` is one of:

- ``request``: for the gateway ``name``, whose certificate and key have the paths ``own``. Returns a new P-256
  ``key``, the request ``csr`` for it, and ``signed``, the request signed with the key of the certificate (CMS,
  including the certificate).
- ``inspect``: the contents of a ``certificate``: ``names`` (common names), ``begins_ms``, ``ends_ms``, ``plain`` (it
  and the certificates after it, without anything else), and ``matches``: whether ``key`` is its key (true if none is
  given).

All keys and certificates are PEM. Exit status 3: the library is not installed; 4: the input is unreadable.
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


def create_request(fields: Mapping[str, Any]) -> dict[str, object]:
    """Create a key and a request. Raises :class:`ValueError` and :class:`OSError` if the gateway's own pair is
    unusable."""
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

    certificate_file, key_file = (Path(file) for file in fields["own"])
    own = x509.load_pem_x509_certificate(_block(certificate_file.read_text(), "CERTIFICATE"))
    own_key: Any = load_pem_private_key(_block(key_file.read_text(), r"(?:EC |RSA )?PRIVATE KEY"), None)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, fields["name"])])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    encoded = csr.public_bytes(Encoding.PEM)
    signer = pkcs7.PKCS7SignatureBuilder().set_data(encoded).add_signer(own, own_key, hashes.SHA256())
    return {
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "csr": encoded.decode(),
        "signed": signer.sign(Encoding.PEM, [pkcs7.PKCS7Options.Binary]).decode(),
    }


def inspect(fields: Mapping[str, Any]) -> dict[str, object]:
    """Read a certificate. Raises :class:`ValueError`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    chain = x509.load_pem_x509_certificates(fields["certificate"].encode())
    first = chain[0]
    matches = True
    if "key" in fields:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = load_pem_private_key(fields["key"].encode(), None)
        matches = key.public_key().public_bytes(*form) == first.public_key().public_bytes(*form)
    return {
        "names": [str(name.value) for name in first.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)],
        "begins_ms": _ms(first.not_valid_before_utc),
        "ends_ms": _ms(first.not_valid_after_utc),
        "plain": "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain),
        "matches": matches,
    }


def main() -> int:
    """Answer one request."""
    fields = json.load(sys.stdin)
    try:
        answer = {"request": create_request, "inspect": inspect}[fields["do"]](fields)
    except ImportError:
        return LIBRARY_MISSING
    except (ValueError, TypeError, OSError):
        return UNREADABLE
    json.dump(answer, sys.stdout)
    return 0


def _block(text: str, kind: str) -> bytes:
    match = re.search(f"-----BEGIN ({kind})-----.*?-----END \\1-----", text, re.DOTALL)
    if match is None:
        raise ValueError(kind)
    return match[0].encode()


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


if __name__ == "__main__":
    sys.exit(main())
