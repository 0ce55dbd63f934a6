"""Whether a sensor works: lost once, recovered once, however often it fails in between. Pure."""

from dataclasses import dataclass

from agent.base import events

NO_FRAME = "no_frame"
"""Why a sensor is lost whose port gives bytes in which the driver finds nothing."""


@dataclass(slots=True)
class Health:
    """The state of one sensor, and its counters since it was started at ``now_s``.

    ``lost``: it gives nothing usable. ``frames``: good measurements. ``rejected``: frames refused. ``restarts``: how
    often its source was opened again after a failure.
    """

    sensor: str
    now_s: float
    lost: bool = False
    frames: int = 0
    rejected: int = 0
    restarts: int = 0
    _good_s: float = 0.0
    _bad_reason: str = ""
    _heard: bool = False

    def __post_init__(self) -> None:
        self._good_s = self.now_s

    def good(self, now_s: float) -> events.Row | None:
        """The sensor works. Gives the event to publish, if it had been lost."""
        away_s = now_s - self._good_s
        self._good_s = now_s
        self._bad_reason = ""
        self._heard = False
        if not self.lost:
            return None
        self.lost = False
        return events.sensor_recovered(self.sensor, away_s)

    def reject(self, reason: str) -> None:
        """A frame was refused."""
        self.rejected += 1
        self._bad_reason = reason

    def heard(self) -> None:
        """Bytes came, whatever they are."""
        self._heard = True

    def quiet_since_s(self) -> float:
        """When the last good measurement came (or the sensor was started)."""
        return self._good_s

    def silent(self) -> events.Row | None:
        """Nothing good came for too long."""
        return self.fail(self.doubt())

    def doubt(self) -> str:
        """Why there is nothing good: why the last frame was refused, or ``no_frame`` where there were only other bytes,
        or ``timeout``."""
        return self._bad_reason or (NO_FRAME if self._heard else "timeout")

    def fail(self, why: str) -> events.Row | None:
        """The sensor cannot be used. Gives the event to publish, the first time."""
        if self.lost:
            return None
        self.lost = True
        return events.sensor_lost(self.sensor, why)
