"""The state directory: small files that are complete or absent, even after a power cut."""

import contextlib
import fcntl
import logging
import os
import platform
from pathlib import Path
from typing import IO

from agent.base.codes import LogCode, log_extra
from agent.base.i18n import _
from agent.base.io import clock
from agent.base.io.atomic_files import make_directory, sync_directory

_log = logging.getLogger(__name__)

PRIVACY_KEY = "privacy.key"
"""The secret used to hash identifiers."""


class StateDirLocked(OSError):
    """Another agent is using this state directory."""


class StateDir:
    """One agent's state directory, created if missing and locked until :meth:`close`.

    Readings keep flowing without it: if the disk cannot be read or written, its contents are held in memory. ``failed``
    is the reason why the directory cannot be used, or empty. Raises :class:`StateDirLocked`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed = ""
        self._lock: IO[str] | None = None
        self._secrets: dict[str, bytes] = {}
        self._generation = 0
        try:
            make_directory(path)
            self._lock_directory()
        except StateDirLocked:
            raise
        except OSError as error:
            self.failed = error.strerror or str(error)

    def close(self) -> None:
        """Release the directory for another agent."""
        if self._lock is not None:
            self._lock.close()

    def read(self, name: str) -> str:
        """Return the text of a file; empty if it does not exist or cannot be read."""
        try:
            return (self.path / name).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Replace a file: after a power cut it has the old or the new text, and the new one for certain once this
        returns. A directory that was removed is created again. Raises :class:`OSError`."""
        if not self.path.is_dir():
            make_directory(self.path)
            self._lock_directory()
        temporary = self.path / f".{name}.new"
        temporary.unlink(missing_ok=True)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        temporary.replace(self.path / name)
        sync_directory(self.path)

    def secret(self, name: str, size_bytes: int) -> bytes:
        """Return a random secret, created once and readable by this user only. If the disk cannot read or write it, it
        lasts as long as this process."""
        try:
            self._secrets[name] = bytes.fromhex((self.path / name).read_text().strip())
            return self._secrets[name]
        except (OSError, ValueError) as error:
            if name not in self._secrets:
                self._secrets[name] = os.urandom(size_bytes)
            if isinstance(error, FileNotFoundError | ValueError):  # an unreadable file is left alone
                with contextlib.suppress(OSError):
                    self.write(name, self._secrets[name].hex() + "\n", mode=0o600)
            return self._secrets[name]

    def next_generation(self) -> int:
        """Increment the session number and return it: always higher than the previous one, and durable if the disk can
        be written."""
        try:
            text = (self.path / "gen").read_text().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            text = ""
        except OSError:
            # Unknown, but certainly lower than the time in seconds.
            text = "" if self._generation else str(clock.now_s())
        last = int(text) if text.isdecimal() and len(text) < 16 else 0
        self._generation = max(last, self._generation) + 1
        try:
            self.write("gen", f"{self._generation}\n")
        except OSError as error:
            if not self.failed:
                self.failed = error.strerror or str(error)
                line = _("cannot write to the state directory {place} ({why}); holding its contents in memory").format(
                    place=self.path, why=self.failed
                )
                _log.error(line, extra=log_extra(LogCode.STATE_DIR_FAILED))
        else:
            self.failed = ""
        return self._generation

    def _lock_directory(self) -> None:
        """Lock the directory. Raises :class:`StateDirLocked`, or another :class:`OSError` if it cannot be locked."""
        lock = (self.path / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise StateDirLocked(str(self.path)) from error
        except OSError:
            lock.close()
            raise
        if self._lock is not None:
            self._lock.close()
        self._lock = lock


def board_serial() -> str:
    """Return the board's serial number; empty if it has none."""
    try:
        raw = Path("/sys/firmware/devicetree/base/serial-number").read_bytes()
    except OSError:
        return ""
    return raw.rstrip(b"\0\n").decode("ascii", "replace")


def board_model() -> str:
    """Return the computer's model if the firmware reports it, otherwise the architecture."""
    try:
        return Path("/sys/firmware/devicetree/base/model").read_text().rstrip("\0\n")
    except OSError:
        return platform.machine()
