"""Builds the status snapshot of the whole agent. This is the only place that queries its parts."""

from collections.abc import Mapping
from typing import Protocol

from agent import __version__
from agent.app.io.process import usage
from agent.base.reading import Stamp
from agent.base.status import (
    CertificateStatus,
    ClockStatus,
    ConfigurationStatus,
    DeliveryStatus,
    ProcessStatus,
    SensorStatus,
    Status,
    StoreStatus,
    StreamStatus,
)
from agent.store.stream_account import StreamAccount


class Sensor(Protocol):
    """A sensor that reports its status."""

    def status(self) -> SensorStatus: ...


class Uplink(Protocol):
    """The connection to the broker."""

    online: bool
    sessions: int


class Store(Protocol):
    """The store of readings."""

    accounts: dict[str, StreamAccount]

    @property
    def durable(self) -> bool: ...
    def unsettled(self) -> int: ...


def snapshot(
    sensors: Mapping[str, Sensor],
    uplink: Uplink | None,
    store: Store,
    configuration: ConfigurationStatus,
    certificate: CertificateStatus,
    now: Stamp,
    *,
    safe_mode: bool = False,
) -> Status:
    """Return the current status. ``safe_mode``: no sensors were started."""
    used = usage()
    streams = {
        name: StreamStatus(account.next, account.low_water(account.epoch)) for name, account in store.accounts.items()
    }
    return Status(
        sensors={name: sensor.status() for name, sensor in sensors.items()},
        delivery=DeliveryStatus(uplink is not None and uplink.online, 0 if uplink is None else uplink.sessions),
        store=StoreStatus(store.unsettled(), store.durable, streams),
        configuration=configuration,
        certificate=certificate,
        clock=ClockStatus(now.t, now.clock_quality),
        process=ProcessStatus(
            __version__,
            used.cpu_s,
            used.memory_peak_bytes,
            safe_mode and not sensors,
        ),
    )


def configuration_status(reported: Mapping[str, object], rejected_edit: str) -> ConfigurationStatus:
    """What the last ``config/reported`` says, and why the gateway's own files were rejected."""
    running, cause = reported.get("running"), reported.get("cause")
    rolled_back = reported.get("state") == "rolled_back" and isinstance(cause, Mapping)
    return ConfigurationStatus(
        _int(reported.get("version")),
        str(reported.get("state", "")),
        _int(running.get("version")) if isinstance(running, Mapping) else 0,
        rejected_edit,
        str(cause["message"]) if rolled_back and isinstance(cause, Mapping) else "",
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
