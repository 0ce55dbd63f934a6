"""Where the agent's lines go: to the journal with their fields where systemd listens, else to standard error."""

import logging
import os
import socket
import sys
import time
from pathlib import Path

from agent.base.i18n import _
from agent.base.io.log_rate_limit import LogBudget

_SOCKET = Path("/run/systemd/journal/socket")
_LEVELS = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_FIELDS = ("code", "sensor")


def start_logging(level: str) -> None:
    """Log from this level on (``debug`` … ``error``)."""
    handler: logging.Handler
    if _is_journal(os.environ.get("JOURNAL_STREAM", "")):
        handler = JournalHandler()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    handler.addFilter(Sparing())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.ERROR)


class Sparing(logging.Filter):
    """Lets ten lines a minute through from each place of the program and each sensor; then says how many it kept."""

    def __init__(self, budget: LogBudget | None = None) -> None:
        super().__init__()
        self._budget = budget or LogBudget()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        kind = (record.pathname, record.lineno, getattr(record, "sensor", ""))
        allowed, kept_back = self._budget.allows(kind, time.monotonic())
        if kept_back:
            more = _("({count} similar lines were not logged)").format(count=kept_back)
            record.msg, record.args = f"{record.getMessage()} {more}", ()
        return allowed


class JournalHandler(logging.Handler):
    """Speaks journald's own protocol, so that each line has its level, ``CODE`` and ``SENSOR`` as fields of their own
    (systemd: "Native Journal Protocol"). A line that journald does not take goes to standard error."""

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
        except OSError:  # journald is away, or the line is too long for a datagram
            sys.stderr.write(f"<{level}>{message}\n")

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        super().close()


def _field(name: str, value: str) -> bytes:
    raw = value.encode(errors="replace")
    if b"\n" not in raw:
        return b"%b=%b\n" % (name.encode(), raw)
    return b"%b\n%b%b\n" % (name.encode(), len(raw).to_bytes(8, "little"), raw)


def _is_journal(stream: str) -> bool:
    """Whether standard error is what ``JOURNAL_STREAM`` (device:inode) names: a child may have been given another."""
    try:
        here = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return stream == f"{here.st_dev}:{here.st_ino}"
