"""How many lines of one kind are written: a fault that repeats fills no journal. Pure."""

PER_MINUTE = 10
_WINDOW_S = 60.0
_MOST_KINDS = 500


class LogBudget:
    """Counts lines by their kind, in windows of a minute."""

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._windows: dict[object, tuple[float, int]] = {}

    def allows(self, kind: object, now_s: float) -> tuple[bool, int]:
        """Whether a line of this kind may be written at ``now_s``, and how many before it were not."""
        began_s, count = self._windows.get(kind, (now_s, 0))
        kept_back = 0
        if now_s - began_s >= _WINDOW_S:
            kept_back = max(0, count - self._per_minute)
            began_s, count = now_s, 0
            if len(self._windows) >= _MOST_KINDS:  # nobody has so many: forget what is quiet
                self._windows = {one: window for one, window in self._windows.items() if now_s - window[0] < _WINDOW_S}
        self._windows[kind] = (began_s, count + 1)
        return count < self._per_minute, kept_back
