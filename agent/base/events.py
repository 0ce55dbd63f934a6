"""The agent's own events, as rows of ``event/_agent`` (without their ``t``)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from drivers.sdk.contract import Value

Row = dict[str, Value | Sequence[Mapping[str, Value]]]
"""A row. Only ``before`` of ``store_reset`` is not a plain value."""
MAX_BEFORE = 64
Why = Literal["overflow", "age", "corrupt", "memory", "edges", "rejected"]


def started(agent: str, reason: str) -> Row:
    """The agent started."""
    return {"ev": "started", "sev": "info", "agent": agent, "reason": reason}


def safe_mode() -> Row:
    """The agent crashed repeatedly and is running without sensors for now."""
    return {"ev": "safe_mode", "sev": "alarm"}


def stopped(reason: str) -> Row:
    """The agent is stopping on purpose."""
    return {"ev": "stopped", "sev": "info", "reason": reason}


def sensor_lost(sensor: str, why: str) -> Row:
    """A sensor delivers no usable data any more (or has delivered none since the start)."""
    return {"ev": "sensor_lost", "sev": "warn", "sensor": sensor, "why": why}


def sensor_recovered(sensor: str, away_s: float) -> Row:
    """A lost sensor delivers readings again."""
    return {"ev": "sensor_recovered", "sev": "info", "sensor": sensor, "away_s": round(away_s, 1)}


def rows_lost(stream: str, epoch: str, start: int, stop: int, why: Why) -> Row:
    """The numbers ``[start, stop)`` of a stream will never arrive."""
    named: Row = {"ev": "rows_lost", "sev": "warn", "stream": stream, "ep": epoch}
    return named | {"from": start, "to": stop - 1, "n": stop - start, "why": why}


def rows_lost_unnumbered(stream: str, epoch: str, n: int, why: Why) -> Row:
    """``n`` readings were dropped before they were numbered, so the stream's numbers have no gap."""
    return {"ev": "rows_lost", "sev": "warn", "stream": stream, "ep": epoch, "n": n, "why": why}


def store_reset(why: str, before: Sequence[tuple[str, str, int]] = (), detail: str = "") -> Row:
    """Numbering continues in a new epoch. ``before``: (stream, ended epoch, the number after its last), as far as
    known."""
    row: Row = {"ev": "store_reset", "sev": "warn", "why": why}
    if detail:
        row["detail"] = detail
    if before:
        row["before"] = [{"stream": stream, "ep": epoch, "next": stop} for stream, epoch, stop in before[:MAX_BEFORE]]
    return row


def state_dir_failed(why: str) -> Row:
    """The state directory is unusable: data that should survive a restart is held in memory."""
    return {"ev": "state_dir_failed", "sev": "alarm", "detail": why}


def config_rejected(code: str, message: str, path: str, suppressed: int = 0) -> Row:
    """A configuration was rejected; the running one stays. ``suppressed``: rejections with this code since the last
    event."""
    row: Row = {"ev": "config_rejected", "sev": "warn", "code": code, "message": message, "path": path}
    return row | {"suppressed": suppressed} if suppressed else row


def update_state_lost(version: int) -> Row:
    """The gateway lost its record of configurations; it continues from the version that other evidence proves."""
    return {"ev": "update_state_lost", "sev": "alarm", "version": version}


def config_rolled_back(code: str, message: str, path: str) -> Row:
    """A configuration was tried and rolled back to the previous one."""
    return {"ev": "config_rolled_back", "sev": "warn", "code": code, "message": message, "path": path}


def certificate_expires(days: int, soon: bool) -> Row:
    """The certificate in use expires in ``days`` whole days (negative: it has expired). ``soon``: raise an alarm."""
    return {"ev": "certificate_expires", "sev": "alarm" if soon else "warn", "days": days}


def certificate_renewed() -> Row:
    """A broker accepted a new certificate, which is now in use."""
    return {"ev": "certificate_renewed", "sev": "info"}


def certificate_refused(why: str) -> Row:
    """No broker accepted a new certificate; the previous one is in use again."""
    return {"ev": "certificate_refused", "sev": "warn", "why": why}


def client_id_conflict(client_id: str) -> Row:
    """Another client with this gateway's id took over the session."""
    return {"ev": "client_id_conflict", "sev": "alarm", "client_id": client_id}


def clock_set(boot_id: str, before_ms: int, now_ms: int) -> Row:
    """The clock was set during this boot: rows sent with ``cq`` 0 are off by the difference."""
    return {"ev": "clock_set", "sev": "info", "bid": boot_id, "from": before_ms, "to": now_ms}
