"""Limits how many log lines of one kind are written, so that a repeating fault cannot fill the journal. No I/O."""

PER_MINUTE = 10
_WINDOW_S = 60.0
_MAX_KINDS = 500


class LogRateLimit:
    """Counts lines by kind, in one-minute windows."""

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._windows: dict[object, tuple[float, int]] = {}

    def allows(self, kind: object, now_s: float) -> tuple[bool, int]:
        """Return whether a line of this kind may be written at ``now_s``, and how many were suppressed before it."""
        began_s, count = self._windows.get(kind, (now_s, 0))
        suppressed = 0
        if now_s - began_s >= _WINDOW_S:
            suppressed = max(0, count - self._per_minute)
            began_s, count = now_s, 0
            if len(self._windows) >= _MAX_KINDS:  # more than expected: forget the kinds that are quiet
                self._windows = {key: window for key, window in self._windows.items() if now_s - window[0] < _WINDOW_S}
        self._windows[kind] = (began_s, count + 1)
        return count < self._per_minute, suppressed
