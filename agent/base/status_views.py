"""Views of the agent's status: systemd's status line, the reply to ``diagnostics``, the agent's telemetry. No I/O."""

from collections.abc import Mapping

from agent.base.i18n import _
from agent.base.status import SensorStatus, Status
from drivers.sdk.contract import Field, Value

AGENT_FIELDS: Mapping[str, Field] = {
    "backlog": Field("count", min=0),
    "sensors_ok": Field("count", min=0),
    "sensors_lost": Field("count", min=0),
    "rejected": Field("count", kind="counter", min=0),
    "cpu": Field("s", kind="counter", resolution=0.01, min=0),
    "memory_peak": Field("B", min=0),
    "cert_left": Field("s"),
}
"""The fields of the agent's telemetry. ``backlog``: readings that the broker has not acknowledged. ``rejected``: frames
rejected since the start. ``cert_left``: time until the certificate in use expires, if known."""


def status_line(status: Status) -> str:
    """Return the line for ``systemctl status``."""
    link = _("connected") if status.delivery.online else _("not connected")
    if status.process.safe_mode:
        return _("safe mode: no sensors, {link}").format(link=link)
    count = len(status.sensors)
    return _("{well} of {count} sensors OK, {link}, {backlog} readings to send").format(
        well=count - status.sensors_lost, count=count, link=link, backlog=status.store.unsettled
    )


def diagnostics(status: Status) -> dict[str, object]:
    """Return the result of the command ``diagnostics``."""
    remaining_s = status.certificate.remaining_s
    return {
        "agent": status.process.release,
        "clock": status.clock.quality,
        "certificate": {
            "not_after": status.certificate.not_after_ms,
            "days": None if remaining_s is None else remaining_s // 86_400,
        },
        "unsettled": status.store.unsettled,
        "streams": {
            name: {"next": stream.next, "lo": stream.low_water} for name, stream in sorted(status.store.streams.items())
        },
        "sensors": {name: _sensor(sensor) for name, sensor in status.sensors.items()},
    }


def _sensor(sensor: SensorStatus) -> dict[str, object]:
    return {
        "lost": sensor.lost,
        "why": sensor.why,
        "quiet_s": round(sensor.last_good_s, 1),
        "rejected": sensor.rejected,
    }


def agent_telemetry(status: Status) -> dict[str, Value]:
    """Return one reading of the agent's own telemetry (:data:`AGENT_FIELDS`)."""
    remaining_s = status.certificate.remaining_s
    return {
        "backlog": status.store.unsettled,
        "sensors_ok": len(status.sensors) - status.sensors_lost,
        "sensors_lost": status.sensors_lost,
        "rejected": sum(sensor.rejected for sensor in status.sensors.values()),
        "cpu": round(status.process.cpu_s, 2),
        "memory_peak": status.process.memory_peak_bytes,
        **({} if remaining_s is None else {"cert_left": remaining_s}),
    }
