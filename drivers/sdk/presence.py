"""Follows what lies before a reader: of the many times it is read, its coming and its going are told."""

from collections.abc import Mapping

from drivers.sdk.contract import Measurement, Presence, Value


class PresenceTracker:
    """Turns a reader's measurements into the events ``seen`` and ``gone``. Pure; times are monotonic seconds."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._there: Mapping[str, Value] | None = None
        self._seen_s = 0.0

    @property
    def due_s(self) -> float | None:
        """When :meth:`tick` must be called; None while nothing is there."""
        return None if self._there is None else self._seen_s + self._presence.gone_s

    def on(self, measurement: Measurement, at_s: float) -> list[Measurement]:
        """The events that a measurement brings: none while the same thing stays."""
        events = self.tick(at_s)
        key = self._key(measurement)
        if key is None:
            return events
        if self._there is not None and self._there != key:
            events.append(Measurement(self._there, event="gone"))
        if self._there != key:
            events.append(Measurement(measurement.values, measurement.q, "seen"))
        self._there, self._seen_s = key, at_s
        return events

    def tick(self, at_s: float) -> list[Measurement]:
        """``gone``, once it has not been read for long enough."""
        due_s = self.due_s
        if self._there is None or due_s is None or at_s < due_s:
            return []
        gone, self._there = self._there, None
        return [Measurement(gone, event="gone")]

    def _key(self, measurement: Measurement) -> Mapping[str, Value] | None:
        """What says what it is; None where nothing is there, or where it could not be read."""
        key = {name: measurement.values[name] for name in self._presence.key if name in measurement.values}
        first = self._presence.key[0]
        return key if key.get(first) is not None else None
