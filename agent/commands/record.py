"""Remembers which commands were executed, with their outcome, in slots that the store keeps one by one.

Signed and unsigned commands have records of their own, so that nobody without a key can use up, evict or answer the id
of a signed one. An unsigned id is evicted by newer ones; a signed one stays until the command could not be executed any
more anyway.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

SLOTS = 256
_MAX_RESULT_CHARS = 2048
RETENTION_MS = 600_000
"""How long a signed id stays after its command has expired: a clock may be set back a little."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reply to a command. ``expires_ms``: when the command expires."""

    status: str
    detail: str = ""
    result: object = None
    expires_ms: int = 0


class CommandRecord:
    """``recall`` and ``remember``: a short text by its name, across restarts. ``prefix``: how the names start."""

    def __init__(self, prefix: str, recall: Callable[[str], str], remember: Callable[[str, str], None]) -> None:
        self._prefix = prefix
        self._remember = remember
        self._slots: OrderedDict[str, tuple[int, Outcome]] = OrderedDict()
        self._free: list[int] = []
        found = []
        for slot in range(SLOTS):
            entry = _parse(recall(f"{prefix}{slot}"))
            if entry is None:
                self._free.append(slot)
            else:
                found.append((*entry, slot))
        self._order = max((order for order, *_ in found), default=0)
        for _, identity, outcome, slot in sorted(found, key=lambda entry: entry[0]):
            self._slots[identity] = slot, outcome

    def get(self, identity: str) -> Outcome | None:
        """Return the outcome of a command, or ``None`` if it was never accepted."""
        found = self._slots.get(identity)
        return found[1] if found is not None else None

    def put(self, identity: str, outcome: Outcome) -> None:
        """Record a command or its new outcome, and evict the oldest one if every slot is used."""
        known = self._slots.pop(identity, None)
        if known is not None:
            slot = known[0]
        elif self._free:
            slot = self._free.pop()
        else:
            _, (slot, _) = self._slots.popitem(last=False)
        if len(json.dumps(outcome.result)) > _MAX_RESULT_CHARS:
            outcome = Outcome(outcome.status, outcome.detail, None, outcome.expires_ms)
        self._slots[identity] = slot, outcome
        self._order += 1
        entry = [self._order, identity, outcome.status, outcome.detail, outcome.result, outcome.expires_ms]
        self._remember(f"{self._prefix}{slot}", json.dumps(entry))

    def full(self, now_ms: int) -> bool:
        """Return whether every slot holds a command that could still be repeated. Evicts the others if necessary."""
        if self._free:
            return False
        for identity, (slot, outcome) in list(self._slots.items()):
            if outcome.expires_ms + RETENTION_MS < now_ms:
                del self._slots[identity]
                self._free.append(slot)
        return not self._free


def _parse(text: str) -> tuple[int, str, Outcome] | None:
    try:
        order, identity, status, detail, result, expires_ms = json.loads(text or "null")
        return int(order), str(identity), Outcome(str(status), str(detail), result, int(expires_ms))
    except (ValueError, TypeError):
        return None
