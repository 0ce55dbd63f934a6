"""What becomes of a sensor's measurements before they are readings. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from agent.core.privacy import Privacy
from agent.core.quality import assess
from agent.core.settings import Calibrate
from drivers.sdk.contract import Field, Measurement, Presence, Value
from drivers.sdk.presence import PresenceTracker


class Chain:
    """One sensor's chain: quality, calibration, presence, thinning, privacy.

    With ``interval_s`` one reading an interval is let through, with the last value of each field that came in it;
    without, every one. Events are never thinned. With ``presence`` only coming and going are told. Times are monotonic
    seconds.
    """

    def __init__(
        self, fields: Mapping[str, Field], calibrate: Mapping[str, Calibrate] | None = None, interval_s: float = 0.0,
        presence: Presence | None = None, privacy: Privacy | None = None,
    ) -> None:  # fmt: skip
        self._fields = fields
        self._calibrate = dict(calibrate or {})
        # What the device may report bounds its own values, not the corrected ones.
        self._rounded = {name: replace(field, min=None, max=None) for name, field in fields.items()}
        self._thinning = Thinning(interval_s) if interval_s else None
        self._tracker = PresenceTracker(presence) if presence is not None else None
        self._privacy = privacy if privacy is not None and not privacy.idle else None

    @property
    def due_s(self) -> float | None:
        """When :meth:`tick` must be called though nothing is measured."""
        return self._tracker.due_s if self._tracker is not None else None

    def on(self, measurement: Measurement, now_s: float) -> list[Measurement]:
        """Take a measurement; give what is to be published now."""
        measurement = assess(measurement, self._fields)
        if self._calibrate:
            measurement = self._calibrated(measurement)
        if self._tracker is not None:
            return self._kept(self._tracker.on(measurement, now_s))
        if self._thinning is not None and not measurement.event:
            thinned = self._thinning.on(measurement, now_s)
            return [] if thinned is None else self._kept([thinned])
        return self._kept([measurement])

    def plain(self, measurement: Measurement) -> Measurement:
        """The measurement as it may be told, without thinning: for somebody who asks."""
        measurement = assess(measurement, self._fields)
        return self._kept([self._calibrated(measurement) if self._calibrate else measurement])[0]

    def tick(self, now_s: float) -> list[Measurement]:
        """Time has passed: give what ends by it."""
        return [] if self._tracker is None else self._kept(self._tracker.tick(now_s))

    def _kept(self, measurements: list[Measurement]) -> list[Measurement]:
        return measurements if self._privacy is None else [self._privacy.on(one) for one in measurements]

    def _calibrated(self, measurement: Measurement) -> Measurement:
        values = dict(measurement.values)
        for name, line in self._calibrate.items():
            value = values.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                values[name] = value * line.scale + line.offset
        return assess(Measurement(values, measurement.q, measurement.event), self._rounded)


class Thinning:
    """Lets one measurement an interval through."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due_s: float | None = None
        self._last_s = 0.0
        self._values: dict[str, Value] = {}
        self._q: dict[str, str] = {}

    def on(self, measurement: Measurement, now_s: float) -> Measurement | None:
        """Take a measurement; give that of the interval when it is due."""
        for name, value in measurement.values.items():
            self._values[name] = value
            self._q.pop(name, None)
        self._q.update(measurement.q)
        # The measurement nearest to the due time: a device as fast as the interval keeps its rate though it jitters.
        early_s = min(now_s - self._last_s, self._interval_s) / 2
        self._last_s = now_s
        if self._due_s is not None and now_s < self._due_s - early_s:
            return None
        # On a grid, so that the rate is kept; anew where the grid was missed.
        grid_s = self._due_s if self._due_s is not None and now_s < self._due_s + self._interval_s else now_s
        self._due_s = grid_s + self._interval_s
        merged = Measurement(self._values, self._q)
        self._values, self._q = {}, {}
        return merged
