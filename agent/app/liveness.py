"""Which parts of the agent move. Pure: times are seconds of a monotonic clock."""

from collections.abc import Mapping


class Liveness:
    """``limits_s``: for each part, how long it may go without moving, whatever comes of what it does."""

    def __init__(self, limits_s: Mapping[str, float], now_s: float) -> None:
        self._limits_s = limits_s
        self._moved_s = dict.fromkeys(limits_s, now_s)

    def progressed(self, part: str, now_s: float) -> None:
        """A part has done a step."""
        self._moved_s[part] = max(self._moved_s[part], now_s)

    def stalled(self, now_s: float) -> dict[str, float]:
        """The parts that have not moved for too long, and for how many seconds."""
        quiet_s = {part: now_s - moved_s for part, moved_s in self._moved_s.items()}
        return {part: seconds for part, seconds in quiet_s.items() if seconds > self._limits_s[part]}
