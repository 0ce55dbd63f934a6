"""Sends log lines to the journal with their fields if systemd listens there, otherwise to standard error."""

import logging
import os
import socket
import sys
import time
from pathlib import Path

from agent.base.i18n import _
from agent.base.io.log_rate_limit import LogRateLimit

_SOCKET = Path("/run/systemd/journal/socket")
_LEVELS = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_FIELDS = ("code", "sensor")


def start_logging(level: str) -> None:
    """Log from this level up (``debug`` … ``error``)."""
    handler: logging.Handler
    if _is_journal(os.environ.get("JOURNAL_STREAM", "")):
        handler = JournalHandler()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    handler.addFilter(RateLimitFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.ERROR)


class RateLimitFilter(logging.Filter):
    """Passes ten lines a minute from each place in the code and each sensor, then says how many it suppressed."""

    def __init__(self, budget: LogRateLimit | None = None) -> None:
        super().__init__()
        self._budget = budget or LogRateLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the line."""
        kind = (record.pathname, record.lineno, getattr(record, "sensor", ""))
        allowed, suppressed = self._budget.allows(kind, time.monotonic())
        if suppressed:
            more = _("({count} similar lines were not logged)").format(count=suppressed)
            record.msg, record.args = f"{record.getMessage()} {more}", ()
        return allowed


class JournalHandler(logging.Handler):
    """Speaks journald's native protocol, so that level, ``CODE`` and ``SENSOR`` of each line are fields of their own
    (systemd: "Native Journal Protocol"). A line that journald does not accept goes to standard error."""

    def __init__(self, address: Path = _SOCKET) -> None:
        super().__init__()
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        # Level and logger are fields; without a formatter, logging.basicConfig would put them before the message.
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        level, message = _LEVELS.get(record.levelname, 6), self.format(record)
        fields = {"MESSAGE": message, "PRIORITY": str(level), "SYSLOG_IDENTIFIER": "gardu", "LOGGER": record.name}
        fields |= {name.upper(): str(getattr(record, name)) for name in _FIELDS if getattr(record, name, "")}
        try:
            self._socket.sendto(b"".join(_field(name, value) for name, value in fields.items()), self._address)
        except OSError:  # journald is not running, or the line is too long for a datagram
            sys.stderr.write(f"<{level}>{message}\n")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _field(name: str, value: str) -> bytes:
    raw = value.encode(errors="replace")
    if b"\n" not in raw:
        return b"%b=%b\n" % (name.encode(), raw)
    return b"%b\n%b%b\n" % (name.encode(), len(raw).to_bytes(8, "little"), raw)


def _is_journal(stream: str) -> bool:
    """Return whether standard error is the stream that ``JOURNAL_STREAM`` (device:inode) names; a child process may
    have been given a different one."""
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return stream == f"{stat.st_dev}:{stat.st_ino}"
