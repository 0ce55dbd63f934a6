"""How high the version of an accepted configuration ever was: below it nothing is taken again. Pure."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.update.signed.trust import Floor


@dataclass(frozen=True, slots=True)
class Mark:
    """The high-water mark. ``hash``: of the payload that set it, empty after a floor; ``issued_ms``: the newest date
    of an accepted document, part of the lower bound of time; ``root``: the root whose floor was taken last."""

    version: int = 0
    hash: str = ""
    issued_ms: int = 0
    root: int = 0

    def encoded(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    def proven(self, other: "Mark | None") -> "Mark":
        """The higher one of two that were remembered at different places: that of the later floor, or else version."""
        if other is None or (other.root, other.version) <= (self.root, self.version):
            return self
        return other

    def raised(self, version: int, payload_hash: str, issued_ms: int) -> "Mark":
        """After a configuration was accepted. It never goes down."""
        if version < self.version:
            return self
        return Mark(version, payload_hash, max(issued_ms, self.issued_ms), self.root)

    def floored(self, floor: "Floor | None") -> "Mark":
        """After a root's floor, which replaces everything, once: the way back from a version or a date that was
        signed by mistake, or with stolen keys."""
        if floor is None or floor.root <= self.root:
            return self
        return Mark(floor.version, "", floor.issued_ms, floor.root)


def decoded(text: str) -> Mark | None:
    """Read what :meth:`Mark.encoded` wrote; ``None`` where it is anything else."""
    try:
        return from_table(json.loads(text))
    except (ValueError, RecursionError):
        return None


def from_table(table: object) -> Mark:
    """A mark from its fields. Raises :class:`ValueError`."""
    if not isinstance(table, dict):
        raise ValueError("no mark")
    found = [table.get(name, 0) for name in ("version", "issued_ms", "root")]
    payload_hash = table.get("hash", "")
    if not isinstance(payload_hash, str) or not all(type(one) is int for one in found):
        raise ValueError("no mark")
    version, issued_ms, root = found
    return Mark(version, payload_hash, issued_ms, root)
