"""Views of the agent's status: systemd's status line, the reply to ``diagnostics``, the agent's telemetry. No I/O."""

from collections.abc import Mapping

from agent.base.i18n import _
from agent.base.status import ConfigurationStatus, SensorStatus, Status
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


_MAX_WHY_CHARS = 160


def status_line(status: Status) -> str:
    """Return the line for ``systemctl status``."""
    link = _("connected") if status.delivery.online else _("not connected")
    count = len(status.sensors)
    if status.process.safe_mode:
        line = _("safe mode: no sensors, {link}").format(link=link)
    else:
        line = _("{well} of {count} sensors OK, {link}, {backlog} readings to send").format(
            well=count - status.sensors_lost, count=count, link=link, backlog=status.store.unsettled
        )
    return line + _configuration(status.configuration)


def _configuration(status: ConfigurationStatus) -> str:
    """What is wrong with the configuration, and which one is running; empty where nothing is wrong."""
    if status.rejected_edit:
        problem = _("edited configuration rejected ({why})").format(why=_short(status.rejected_edit))
    elif status.rolled_back:
        problem = _("new configuration rolled back ({why})").format(why=_short(status.rolled_back))
    else:
        return ""
    version = status.running_version
    running = _("running version {version}").format(version=version) if version else _("running the previous one")
    return f"; {problem}, {running}"


def _short(why: str) -> str:
    return why if len(why) <= _MAX_WHY_CHARS else why[: _MAX_WHY_CHARS - 3] + "..."


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
