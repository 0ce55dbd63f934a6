"""The high-water mark of configuration versions: nothing older is accepted again. Pure."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.update.signed.trust import Floor


@dataclass(frozen=True, slots=True)
class Mark:
    """The high-water mark. ``hash``: hash of the payload that set it, empty after a floor; ``issued_ms``: newest issue
    date of an accepted document, part of the lower bound of time; ``root``: version of the root that set the floor."""

    version: int = 0
    hash: str = ""
    issued_ms: int = 0
    root: int = 0

    def encoded(self) -> str:
        """Return the mark as text."""
        return json.dumps(asdict(self))

    def highest(self, other: "Mark | None") -> "Mark":
        """Return the higher of two copies: first the newer root counts, then the version."""
        if other is None or (other.root, other.version) <= (self.root, self.version):
            return self
        return other

    def raised(self, version: int, payload_hash: str, issued_ms: int) -> "Mark":
        """Return the mark after a configuration was accepted. It never goes down."""
        if version < self.version:
            return self
        return Mark(version, payload_hash, max(issued_ms, self.issued_ms), self.root)

    def floored(self, floor: "Floor | None") -> "Mark":
        """Return the mark after a root's floor. A floor replaces everything, once: it is the way back from a version or
        a date that was signed by mistake or with stolen keys."""
        if floor is None or floor.root <= self.root:
            return self
        return Mark(floor.version, "", floor.issued_ms, floor.root)


def parse(text: str) -> Mark | None:
    """Parse the text of :meth:`Mark.encoded`; return ``None`` for any other text."""
    try:
        return from_table(json.loads(text))
    except (ValueError, RecursionError):
        return None


def from_table(table: object) -> Mark:
    """Return a mark from its fields. Raises :class:`ValueError`."""
    if not isinstance(table, dict):
        raise ValueError("not a mark")
    numbers = [table.get(name, 0) for name in ("version", "issued_ms", "root")]
    payload_hash = table.get("hash", "")
    if not isinstance(payload_hash, str) or not all(type(number) is int for number in numbers):
        raise ValueError("not a mark")
    version, issued_ms, root = numbers
    return Mark(version, payload_hash, issued_ms, root)
