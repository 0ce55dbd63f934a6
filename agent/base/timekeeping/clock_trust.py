"""Decides whether a clock can be trusted. Proof of synchronisation outranks earlier observations, and those outrank the
clock's own reading.

A clock behind the newest trusted time (the floor) was never set. But that time may itself have been wrong, so the floor
is lowered on evidence: a synchronised clock, someone setting the clock back while the agent runs, or a clock that has
run for a day without a step.
"""

STEP_MS = 2000
"""A clock that differs by more than this from its expected value was set."""
CONSISTENT_MS = 86_400_000
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


class ClockTrust:
    """Judges one clock. Times are Unix milliseconds; ``mono_ms`` is milliseconds since boot. ``build_ms``: no correct
    clock can be earlier than this.

    ``floor_ms``: the newest trusted time. ``proven_ms``: the newest time of a synchronised clock; 0 if there was none.
    """

    def __init__(self, build_ms: int) -> None:
        self._build_ms = build_ms
        self.floor_ms = build_ms
        self.proven_ms = 0
        self._trusted = False
        self._offset_ms: int | None = None
        self._since_ms = 0

    def restore(self, floor_ms: int, proven_ms: int) -> None:
        """Load the state saved by an earlier run."""
        self.floor_ms = max(self._build_ms, floor_ms)
        self.proven_ms = proven_ms
        self._trusted = False

    def stepped(self, t: int, mono_ms: int) -> bool:
        """Compare the clock with the previous observation; return whether it was set in between."""
        offset_ms = t - mono_ms
        before_ms, self._offset_ms = self._offset_ms, offset_ms
        if before_ms is None:
            self._since_ms = mono_ms
            return False
        if abs(offset_ms - before_ms) <= STEP_MS:
            return False
        self._since_ms = mono_ms
        # At boot, a saved time, which may be old, is restored by a step forward. Whoever steps the clock back knows the
        # time.
        if offset_ms < before_ms and t >= self._build_ms:
            self._trusted = True
            self.proven_ms = min(self.proven_ms, t)
        return True

    def prove(self, t: int) -> None:
        """Record a proven time that does not come from this clock."""
        self.floor_ms = self.proven_ms = t

    def quality(self, t: int, mono_ms: int, *, synchronised: bool) -> int:
        """Return how far this time can be trusted (``cq``)."""
        if t < self._build_ms:
            self._trusted = False
            return 0
        if synchronised:
            self._trusted, self.floor_ms, self.proven_ms = True, t, t
            return 2
        if not self._trusted:
            consistent = mono_ms - self._since_ms >= CONSISTENT_MS and t >= self.proven_ms
            self._trusted = t >= self.floor_ms or consistent
        if not self._trusted:
            return 0
        self.floor_ms = t
        return 1


def dump_state(floor_ms: int, proven_ms: int) -> str:
    """Return the state to save for the next start, as text."""
    return f"{floor_ms} {proven_ms}"


def parse_state(text: str) -> tuple[int, int] | None:
    """Parse the floor and the proven time; return ``None`` if the text is invalid."""
    parts = text.split()
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        return None
    floor_ms, proven_ms = (int(part) for part in parts)
    return (floor_ms, proven_ms) if max(floor_ms, proven_ms) <= LAST_MS else None
