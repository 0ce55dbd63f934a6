"""How the agent is at one moment: one frozen snapshot, which everything that tells about the agent reads. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """One sensor. ``lost``: it gives nothing usable, and ``why`` tells people why. ``last_good_s``: seconds since
    its last good measurement, or since it was started. The counters begin when the sensor is started: good ``frames``,
    ``rejected`` ones, and ``restarts`` of its source after a failure."""

    lost: bool
    why: str
    frames: int
    rejected: int
    restarts: int
    last_good_s: float


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """The way to the broker. ``online``: a session is up. ``sessions``: how many there were."""

    online: bool
    sessions: int


class StreamStatus(NamedTuple):
    """The number that is given next in a stream, and the first one of its epoch that is not settled."""

    next: int
    low_water: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """``unsettled``: readings that the broker does not have yet. ``durable``: what is stored survives a power cut."""

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
    """The certificate in use: its end in Unix milliseconds, and the seconds until then (below 0 after it); None where
    that, or the time, is not known."""

    not_after_ms: int | None = None
    left_s: int | None = None


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """The gateway's time in Unix milliseconds, and how far it can be trusted (``cq`` of the wire contract)."""

    t_ms: int
    quality: int


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """``cpu_s``: processor time used. ``memory_peak_bytes``: the most memory it was resident with. ``safe_mode``: it
    runs without sensors because it crashed again and again."""

    release: str
    cpu_s: float
    memory_peak_bytes: int
    safe_mode: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at once. ``sensors``: by id, without the agent's own."""

    sensors: Mapping[str, SensorStatus]
    delivery: DeliveryStatus
    store: StoreStatus
    configuration: ConfigurationStatus
    certificate: CertificateStatus
    clock: ClockStatus
    process: ProcessStatus

    @property
    def sensors_lost(self) -> int:
        """How many sensors are lost."""
        return sum(sensor.lost for sensor in self.sensors.values())
