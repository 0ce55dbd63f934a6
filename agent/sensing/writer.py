"""Writes one sensor's measurements to the store, within the sensor's budget."""

import logging
from collections.abc import Mapping

from agent.base import events
from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.reading import Reading, Stamp, event, packed, telemetry
from agent.config.settings import Sensor
from agent.sensing.context import SensorContext
from agent.sensing.sensor_budget import SensorBudget
from drivers.sdk.contract import Measurement

_log = logging.getLogger(__name__)


class ReadingWriter:
    """Writes readings and events. The first reading after a start and every event are urgent: they skip group commit
    and batching."""

    def __init__(self, settings: Sensor, context: SensorContext) -> None:
        self._settings = settings
        self._store = context.store
        self._time = context.time
        self._budget = SensorBudget(settings.max_rows_per_s, self._time.now_s())
        self._telemetry = telemetry(settings.id)
        self._events = event(settings.id)
        self._first = True
        self._flooding = False

    def write(self, measurement: Measurement, stamp: Stamp, *, urgent: bool = False) -> None:
        """Store a measurement; those over the budget are dropped and counted."""
        now_s = self._time.now_s()
        stream = self._events if measurement.event else self._telemetry
        if not self._budget.allows(stream, now_s):
            self._report_flood(now_s)
            return
        self._report_dropped(self._budget.report(now_s))
        row = {**measurement.values, "q": dict(measurement.q)} if measurement.q else measurement.values
        if measurement.event:
            row = {"ev": measurement.event, "sev": "info", **row}
            urgent = self._budget.allows_urgent(now_s)
        else:
            urgent = urgent or self._first
            self._first = False
        self._store.append(Reading(stream, stamp, self._store.meta_hash, packed(row), urgent))

    def record_data(self, size_bytes: int, items: int) -> None:
        """Record that bytes arrived, and how many items were found in them."""
        self._budget.record_data(size_bytes, items)

    async def wait_for_room(self) -> None:
        """Wait while the store has no room or the sensor is over its budget."""
        await self._store.wait_for_room()
        pause_s = self._budget.pause_s()
        if pause_s:
            await self._time.sleep(pause_s)

    def report_lost_edges(self, count: int, *, sampled: bool) -> None:
        """Report edges lost before they could be numbered. ``sampled``: they would have been counted in a reading."""
        stream = self._telemetry if sampled else self._events
        self._store.announce(events.rows_lost_unnumbered(stream, self._store.epoch, count, "edges"))

    def close(self) -> None:
        """Report dropped rows that were not reported yet."""
        self._report_dropped(self._budget.report(self._time.now_s(), final=True))

    def _report_flood(self, now_s: float) -> None:
        if not self._flooding:
            self._flooding = True
            name, rate = self._settings.id, self._settings.max_rows_per_s
            line = _("{sensor} sends more than {n:.0f} readings per second; dropping and counting the excess").format(
                sensor=name, n=rate
            )
            _log.warning(line, extra=log_extra(LogCode.SENSOR_FLOOD, name))
        self._report_dropped(self._budget.report(now_s))

    def _report_dropped(self, dropped: Mapping[str, int]) -> None:
        for stream, count in dropped.items():
            self._store.announce(events.rows_lost_unnumbered(stream, self._store.epoch, count, "overflow"))
