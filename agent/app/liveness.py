"""Which parts of the agent make progress. Pure: times are seconds of a monotonic clock."""

from collections.abc import Mapping


class Liveness:
    """Tracks progress. ``limits_s``: for each part, how long it may go without a step."""

    def __init__(self, limits_s: Mapping[str, float], now_s: float) -> None:
        self._limits_s = limits_s
        self._progressed_s = dict.fromkeys(limits_s, now_s)

    def progressed(self, part: str, now_s: float) -> None:
        """Record that a part made a step at ``now_s``."""
        self._progressed_s[part] = max(self._progressed_s[part], now_s)

    def stalled(self, now_s: float) -> dict[str, float]:
        """Return the parts that exceeded their limit, each with the seconds since its last step."""
        idle_s = {part: now_s - progressed_s for part, progressed_s in self._progressed_s.items()}
        return {part: seconds for part, seconds in idle_s.items() if seconds > self._limits_s[part]}
