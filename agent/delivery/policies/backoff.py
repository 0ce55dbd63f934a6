"""Calculates the delay before the next connection: short after a short outage, spread out after a long one. No I/O."""

import random
from collections.abc import Callable

from agent.delivery.connection import ConnectionRefusedByBroker

_MAX_WAIT_S = 30.0
_REFUSED_S = (10.0, 30.0)
_CONFLICT_S = (60.0, 120.0)
_CONFLICT_MEMORY_S = 600.0
PROOF = 2
"""The evidence that proves that another client uses this gateway's id."""


class Backoff:
    """Times are monotonic seconds. ``uniform``: draws from a range."""

    def __init__(self, now_s: float, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._success_s = now_s
        self._uniform = uniform
        self._evidence = 0
        self._evidence_s = now_s

    def record_success(self, now_s: float) -> None:
        """Record that a session worked until now."""
        self._success_s = now_s

    def record_conflict(self, evidence: int, now_s: float) -> bool:
        """Record evidence that another client uses this gateway's id, so that each connection ends the other's. Return
        whether this proves it for the first time."""
        before = self._evidence if now_s - self._evidence_s <= _CONFLICT_MEMORY_S else 0
        self._evidence, self._evidence_s = before + evidence, now_s
        return before < PROOF <= self._evidence

    def wait_s(self, error: BaseException | None, now_s: float) -> float:
        """Return the seconds until the next attempt, randomized so that a city's gateways do not all reconnect at
        once."""
        if self._evidence >= PROOF and now_s - self._evidence_s <= _CONFLICT_MEMORY_S:
            return self._uniform(*_CONFLICT_S)
        if isinstance(error, ConnectionRefusedByBroker):
            return self._uniform(*_REFUSED_S)
        # At most half of the time since a session worked: an outage of 5 s costs less than 5 s more.
        away_s = now_s - self._success_s
        return self._uniform(0.0, min(_MAX_WAIT_S, max(1.0, away_s / 2)))
