"""Tracks what is in front of a reader: it is read many times, but only its arrival and its departure are reported."""

from collections.abc import Mapping

from drivers.sdk.contract import Measurement, Presence, Value


class PresenceTracker:
    """Turns a reader's measurements into the events ``seen`` and ``gone``. No I/O; times are monotonic seconds."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._present: Mapping[str, Value] | None = None
        self._seen_s = 0.0

    @property
    def due_s(self) -> float | None:
        """When to call :meth:`tick`; None while nothing is present."""
        return None if self._present is None else self._seen_s + self._presence.gone_s

    def feed(self, measurement: Measurement, at_s: float) -> list[Measurement]:
        """Return the events caused by a measurement: none while the same object stays."""
        events = self.tick(at_s)
        key = self._key(measurement)
        if key is None:
            return events
        if self._present is not None and self._present != key:
            events.append(Measurement(self._present, event="gone"))
        if self._present != key:
            events.append(Measurement(measurement.values, measurement.q, "seen"))
        self._present, self._seen_s = key, at_s
        return events

    def tick(self, at_s: float) -> list[Measurement]:
        """Return ``gone`` once the object has not been read for ``gone_s``."""
        due_s = self.due_s
        if self._present is None or due_s is None or at_s < due_s:
            return []
        gone, self._present = self._present, None
        return [Measurement(gone, event="gone")]

    def _key(self, measurement: Measurement) -> Mapping[str, Value] | None:
        """Return what identifies the object; None if nothing is present or it could not be read."""
        key = {name: measurement.values[name] for name in self._presence.key if name in measurement.values}
        first = self._presence.key[0]
        return key if key.get(first) is not None else None
