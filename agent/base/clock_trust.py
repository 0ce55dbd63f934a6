"""Whether a clock can be trusted: evidence beats what was seen before, and what was seen before beats a mere claim.

A clock that stands behind the newest trusted time (the floor) was never set. But that time may have been wrong itself,
so the floor goes down again where something shows it: a synchronised clock, somebody who sets the clock back while the
agent runs, or a day in which the clock has run on without a step.
"""

STEP_MS = 2000
"""The clock was set when it differs by more than this from what it would show by itself."""
CONSISTENT_MS = 86_400_000
LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""


class ClockTrust:
    """Judges one clock. Times are Unix milliseconds; ``mono_ms`` are milliseconds since boot. ``build_ms``: before
    which no true clock can stand.

    ``floor_ms``: the newest trusted time. ``proven_ms``: the newest time of a synchronised clock; 0 where there was
    none.
    """

    def __init__(self, build_ms: int) -> None:
        self._build_ms = build_ms
        self.floor_ms = build_ms
        self.proven_ms = 0
        self._trusted = False
        self._offset_ms: int | None = None
        self._since_ms = 0

    def restore(self, floor_ms: int, proven_ms: int) -> None:
        """Take over what was known before this start."""
        self.floor_ms = max(self._build_ms, floor_ms)
        self.proven_ms = proven_ms
        self._trusted = False

    def stepped(self, t: int, mono_ms: int) -> bool:
        """Take a look at the clock; whether it was set since the last one."""
        offset_ms = t - mono_ms
        before_ms, self._offset_ms = self._offset_ms, offset_ms
        if before_ms is None:
            self._since_ms = mono_ms
            return False
        if abs(offset_ms - before_ms) <= STEP_MS:
            return False
        self._since_ms = mono_ms
        # A start restores a saved time, which may be old, by a step forward. Who steps back knows the time.
        if offset_ms < before_ms and t >= self._build_ms:
            self._trusted = True
            self.proven_ms = min(self.proven_ms, t)
        return True

    def quality(self, t: int, mono_ms: int, *, synchronised: bool) -> int:
        """How far this time is to be trusted (``cq``)."""
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


def saved(floor_ms: int, proven_ms: int) -> str:
    """What is to be known at the next start, as text."""
    return f"{floor_ms} {proven_ms}"


def restored(text: str) -> tuple[int, int] | None:
    """The floor and the proven time of a text; ``None`` where it makes no sense."""
    parts = text.split()
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        return None
    floor_ms, proven_ms = (int(part) for part in parts)
    return (floor_ms, proven_ms) if max(floor_ms, proven_ms) <= LAST_MS else None
