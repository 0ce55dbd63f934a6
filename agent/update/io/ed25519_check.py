"""A separate program that verifies Ed25519 signatures and exits, so that the agent never keeps the library in memory.

Standard input: ``{"messages": [base64, …], "checks": [[key hex, index of the message, signature hex], …]}``;
standard output: a list of true and false. Exit status 3: the library is not installed.
"""

import base64
import json
import sys
from collections.abc import Iterable, Iterator

LIBRARY_MISSING = 3


def verify(checks: Iterable[tuple[bytes, bytes, bytes]]) -> Iterator[bool]:
    """Yield one answer for each (key, message, signature). Raises :class:`ImportError` without the library."""
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
    """Verify one batch."""
    batch = json.load(sys.stdin)
    messages = [base64.b64decode(message) for message in batch["messages"]]
    checks = [(bytes.fromhex(key), messages[at], bytes.fromhex(signature)) for key, at, signature in batch["checks"]]
    try:
        result = list(verify(checks))
    except ImportError:
        return LIBRARY_MISSING
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
