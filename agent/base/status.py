"""The agent's status at one point in time: one frozen snapshot that every report reads. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """One sensor. ``lost``: it delivers no usable data, and ``why`` is the reason, for people. ``last_good_s``: seconds
    since its last good measurement, or since it was started. The counters start at 0 with the sensor: good ``frames``,
    ``rejected`` ones, and ``restarts`` of its source after a failure."""

    lost: bool
    why: str
    frames: int
    rejected: int
    restarts: int
    last_good_s: float


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """The connection to the broker. ``online``: a session is up. ``sessions``: how many there have been."""

    online: bool
    sessions: int


class StreamStatus(NamedTuple):
    """The next number of a stream, and the first number of its epoch that is not settled."""

    next: int
    low_water: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """``unsettled``: readings that the broker has not acknowledged. ``durable``: stored readings survive a power
    cut."""

    unsettled: int
    durable: bool
    streams: Mapping[str, StreamStatus]


@dataclass(frozen=True, slots=True)
class ConfigurationStatus:
    """The outcome of the newest configuration, as in ``config/reported``. A version is 0 where only the gateway's own
    files count; ``state`` is empty before the first report. ``rejected_edit``: why the gateway's own files were
    rejected; ``rolled_back``: why the newest configuration was rolled back; otherwise empty."""

    version: int = 0
    state: str = ""
    running_version: int = 0
    rejected_edit: str = ""
    rolled_back: str = ""


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """The certificate in use: its expiry in Unix milliseconds, and the seconds until then (negative after it); None if
    the expiry or the time is unknown."""

    not_after_ms: int | None = None
    remaining_s: int | None = None


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """The gateway's time in Unix milliseconds, and how far it can be trusted (``cq`` of the wire contract)."""

    t_ms: int
    quality: int


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """``cpu_s``: processor time used. ``memory_peak_bytes``: peak resident memory. ``safe_mode``: the agent runs
    without sensors because it crashed repeatedly."""

    release: str
    cpu_s: float
    memory_peak_bytes: int
    safe_mode: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The complete status. ``sensors``: by id, without the agent's own."""

    sensors: Mapping[str, SensorStatus]
    delivery: DeliveryStatus
    store: StoreStatus
    configuration: ConfigurationStatus
    certificate: CertificateStatus
    clock: ClockStatus
    process: ProcessStatus

    @property
    def sensors_lost(self) -> int:
        """The number of lost sensors."""
        return sum(sensor.lost for sensor in self.sensors.values())
