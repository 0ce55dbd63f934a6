"""Tracks whether a sensor works: one loss and one recovery, however often it fails in between. No I/O."""

from dataclasses import dataclass

from agent.base import events

NO_FRAME = "no_frame"
"""Reason for a loss: the port delivers bytes, but the driver finds no frame in them."""


@dataclass(slots=True)
class Health:
    """The state of one sensor, and its counters since it was started at ``now_s``.

    ``lost``: it delivers no usable data. ``frames``: good measurements. ``rejected``: rejected frames. ``restarts``:
    how often its source was restarted after a failure.
    """

    sensor: str
    now_s: float
    lost: bool = False
    frames: int = 0
    rejected: int = 0
    restarts: int = 0
    _good_s: float = 0.0
    _rejected_reason: str = ""
    _has_data: bool = False

    def __post_init__(self) -> None:
        self._good_s = self.now_s

    def record_good(self, now_s: float) -> events.Row | None:
        """Record that the sensor works. Return the event to publish if it was lost."""
        away_s = now_s - self._good_s
        self._good_s = now_s
        self._rejected_reason = ""
        self._has_data = False
        if not self.lost:
            return None
        self.lost = False
        return events.sensor_recovered(self.sensor, away_s)

    def record_rejected(self, reason: str) -> None:
        """Record a rejected frame."""
        self.rejected += 1
        self._rejected_reason = reason

    def record_data(self) -> None:
        """Record that any bytes arrived."""
        self._has_data = True

    def last_good_s(self) -> float:
        """Return the time of the last good measurement (or of the start)."""
        return self._good_s

    def record_silence(self) -> events.Row | None:
        """Record that nothing good arrived for too long. Return the event to publish, the first time."""
        return self.record_failure(self.reason())

    def reason(self) -> str:
        """Return why there is nothing good: the reason of the last rejected frame, ``no_frame`` if only other bytes
        arrived, or ``timeout``."""
        return self._rejected_reason or (NO_FRAME if self._has_data else "timeout")

    def record_failure(self, why: str) -> events.Row | None:
        """Record that the sensor is unusable. Return the event to publish, the first time."""
        if self.lost:
            return None
        self.lost = True
        return events.sensor_lost(self.sensor, why)
