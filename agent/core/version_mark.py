"""How high the version of an accepted configuration ever was: below it nothing is taken again. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.trust import Floor


@dataclass(frozen=True, slots=True)
class Mark:
    """The high-water mark. ``hash``: of the payload that set it, empty after a floor; ``issued_ms``: the newest date
    of an accepted document, part of the lower bound of time; ``root``: the root whose floor was taken last."""

    version: int = 0
    hash: str = ""
    issued_ms: int = 0
    root: int = 0

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
