"""What becomes of a sensor's measurements before they are readings: quality, calibration, thinning. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from agent.core.quality import assess
from agent.core.settings import Calibrate
from drivers.sdk.contract import Field, Measurement, Value


class Chain:
    """One sensor's chain. With ``interval_s`` one reading an interval is let through, with the last value of each
    field that came in it; without, every one."""

    def __init__(
        self, fields: Mapping[str, Field], calibrate: Mapping[str, Calibrate] | None = None, interval_s: float = 0.0
    ) -> None:
        self._fields = fields
        self._calibrate = dict(calibrate or {})
        # What the device may report bounds its own values, not the corrected ones.
        self._rounded = {name: replace(field, min=None, max=None) for name, field in fields.items()}
        self._interval_s = interval_s
        self._due_s: float | None = None
        self._last_s = 0.0
        self._values: dict[str, Value] = {}
        self._q: dict[str, str] = {}

    def on(self, measurement: Measurement, now_s: float) -> Measurement | None:
        """Take a measurement; give what is to be published now, if anything."""
        measurement = assess(measurement, self._fields)
        if self._calibrate:
            measurement = self._calibrated(measurement)
        if not self._interval_s:
            return measurement
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

    def _calibrated(self, measurement: Measurement) -> Measurement:
        values = dict(measurement.values)
        for name, line in self._calibrate.items():
            value = values.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                values[name] = value * line.scale + line.offset
        return assess(Measurement(values, measurement.q), self._rounded)
