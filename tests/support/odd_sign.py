"""A sign command that makes no right certificates: ``odd_sign.py WHAT CA.pem CA.key GATEWAY``.

WHAT: ``right``; ``name`` (of another gateway), ``key`` (another one's), ``expired``, ``early``, ``text`` (none at all).
It does not ask who made the request. The CA may be any.
"""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key


def main() -> None:
    what, ca_file, key_file, gateway = sys.argv[1:]
    words = ("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "PEM")
    csr = subprocess.run(words, input=sys.stdin.buffer.read(), capture_output=True, check=True).stdout
    request = x509.load_pem_x509_csr(csr)
    ca = x509.load_pem_x509_certificate(Path(ca_file).read_bytes())
    key = load_pem_private_key(Path(key_file).read_bytes(), None)
    now = datetime.now(UTC)
    begins = now + timedelta(days=5) if what == "early" else now - timedelta(days=20)
    ends = now - timedelta(days=10) if what == "expired" else now + timedelta(days=100)
    own = ec.generate_private_key(ec.SECP256R1()).public_key() if what == "key" else request.public_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pos-9" if what == "name" else gateway)])
    builder = x509.CertificateBuilder(ca.subject, name, own, x509.random_serial_number(), begins, ends)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]
    print("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----" if what == "text" else pem)


if __name__ == "__main__":
    main()
