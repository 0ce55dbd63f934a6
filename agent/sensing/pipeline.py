"""The steps from a sensor's measurements to readings. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.config.settings import Calibrate
from agent.sensing.presence import PresenceTracker
from agent.sensing.privacy import PrivacyFilter
from agent.sensing.quality import assess
from drivers.sdk.contract import Field, Measurement, Presence, Value


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Settings of a pipeline. ``downsample_s``: one reading per interval, with the last value of each field measured in
    it; 0: every reading. Events are never downsampled. With ``presence``, only arrivals and departures are reported."""

    calibrate: Mapping[str, Calibrate] = field(default_factory=dict)
    downsample_s: float = 0.0
    presence: Presence | None = None
    privacy: PrivacyFilter | None = None


class Pipeline:
    """One sensor's steps: quality, calibration, presence, downsampling, privacy. Times are monotonic seconds."""

    def __init__(self, fields: Mapping[str, Field], settings: PipelineSettings | None = None) -> None:
        settings = settings or PipelineSettings()
        privacy, presence = settings.privacy, settings.presence
        self._fields = fields
        self._calibrate = settings.calibrate
        # The device's limits apply to its raw values, not to the calibrated ones.
        self._rounded = {name: replace(field, min=None, max=None) for name, field in fields.items()}
        self._downsampler = Downsampler(settings.downsample_s) if settings.downsample_s else None
        self._tracker = PresenceTracker(presence) if presence is not None else None
        self._privacy = privacy if privacy is not None and not privacy.is_noop else None

    @property
    def due_s(self) -> float | None:
        """When to call :meth:`tick` even if nothing is measured; None: not needed."""
        return self._tracker.due_s if self._tracker is not None else None

    def feed(self, measurement: Measurement, now_s: float) -> list[Measurement]:
        """Process a measurement; return what to publish now."""
        measurement = assess(measurement, self._fields)
        if self._calibrate:
            measurement = self._calibrated(measurement)
        if self._tracker is not None:
            return self._publishable(self._tracker.feed(measurement, now_s))
        if self._downsampler is not None and not measurement.event:
            sample = self._downsampler.feed(measurement, now_s)
            return [] if sample is None else self._publishable([sample])
        return self._publishable([measurement])

    def process_single(self, measurement: Measurement) -> Measurement:
        """Return this measurement as it may be published, without downsampling: for a command that requests it."""
        measurement = assess(measurement, self._fields)
        return self._publishable([self._calibrated(measurement) if self._calibrate else measurement])[0]

    def tick(self, now_s: float) -> list[Measurement]:
        """Let time pass; return the events that are due."""
        return [] if self._tracker is None else self._publishable(self._tracker.tick(now_s))

    def _publishable(self, measurements: list[Measurement]) -> list[Measurement]:
        return measurements if self._privacy is None else [self._privacy.apply(event) for event in measurements]

    def _calibrated(self, measurement: Measurement) -> Measurement:
        values = dict(measurement.values)
        for name, line in self._calibrate.items():
            value = values.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                values[name] = value * line.scale + line.offset
        return assess(Measurement(values, measurement.q, measurement.event), self._rounded)


class Downsampler:
    """Passes one measurement per interval."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due_s: float | None = None
        self._last_s = 0.0
        self._values: dict[str, Value] = {}
        self._q: dict[str, str] = {}

    def feed(self, measurement: Measurement, now_s: float) -> Measurement | None:
        """Process a measurement; return that of the interval when it is due."""
        for name, value in measurement.values.items():
            self._values[name] = value
            self._q.pop(name, None)
        self._q.update(measurement.q)
        # Use the measurement nearest to the due time: a device as fast as the interval keeps its rate despite jitter.
        early_s = min(now_s - self._last_s, self._interval_s) / 2
        self._last_s = now_s
        if self._due_s is not None and now_s < self._due_s - early_s:
            return None
        # Stay on a grid, so that the rate is kept; start a new grid if it was missed.
        grid_s = self._due_s if self._due_s is not None and now_s < self._due_s + self._interval_s else now_s
        self._due_s = grid_s + self._interval_s
        merged = Measurement(self._values, self._q)
        self._values, self._q = {}, {}
        return merged
