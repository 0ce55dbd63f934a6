"""A program of its own: which of these Ed25519 signatures are good? It ends, and its library is out of memory again.

Standard input: ``{"messages": [base64, …], "checks": [[key hex, number of the message, signature hex], …]}``;
standard output: a list of true and false. Exit status 3: the library is not installed.
"""

import base64
import json
import sys
from collections.abc import Iterable, Iterator

LIBRARY_MISSING = 3


def answers(checks: Iterable[tuple[bytes, bytes, bytes]]) -> Iterator[bool]:
    """One answer for each (key, message, signature). Raises :class:`ImportError` where the library is missing."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for key, message, signature in checks:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            yield False
        else:
            yield True


def main() -> int:
    """Answer one batch."""
    asked = json.load(sys.stdin)
    messages = [base64.b64decode(message) for message in asked["messages"]]
    checks = [(bytes.fromhex(key), messages[at], bytes.fromhex(signature)) for key, at, signature in asked["checks"]]
    try:
        result = list(answers(checks))
    except ImportError:
        return LIBRARY_MISSING
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
