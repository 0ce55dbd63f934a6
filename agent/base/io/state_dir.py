"""The state directory: small files that are whole or absent, whenever the power is cut."""

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

_log = logging.getLogger(__name__)

PRIVACY_KEY = "privacy.key"
"""The secret with which identifiers are hashed."""


class Held(OSError):
    """Another agent holds this state directory."""


class StateDir:
    """One agent's state directory, made if it is not there and held until :meth:`close`.

    Nothing in it matters to the flow: where the disk takes or gives nothing, what should be kept is kept in memory.
    ``failed`` says why it cannot be used; empty where it can. Raises :class:`Held`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed = ""
        self._lock: IO[str] | None = None
        self._secrets: dict[str, bytes] = {}
        self._generation = 0
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._hold()
        except Held:
            raise
        except OSError as error:
            self.failed = error.strerror or str(error)

    def close(self) -> None:
        """Let another agent have the directory."""
        if self._lock is not None:
            self._lock.close()

    def read(self, name: str) -> str:
        """The text of a file; empty where there is none, or it cannot be read."""
        try:
            return (self.path / name).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Replace a file: after a power cut it holds the old text or the new one, and the new one for sure once
        this has returned. A directory that was removed is made again. Raises :class:`OSError`."""
        if not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
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
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def secret(self, name: str, size_bytes: int) -> bytes:
        """A random secret that is made once and read by this user alone. Where the disk does not give or take it, it
        lasts as long as this process."""
        try:
            self._secrets[name] = bytes.fromhex((self.path / name).read_text().strip())
            return self._secrets[name]
        except (OSError, ValueError) as error:
            if name not in self._secrets:
                self._secrets[name] = os.urandom(size_bytes)
            if isinstance(error, FileNotFoundError | ValueError):  # what is there and cannot be read is left alone
                with contextlib.suppress(OSError):
                    self.write(name, self._secrets[name].hex() + "\n", mode=0o600)
            return self._secrets[name]

    def next_generation(self) -> int:
        """Count up the number of sessions, and give the new number: always higher than the one before, durably where
        the disk takes it."""
        try:
            text = (self.path / "gen").read_text().strip()
        except (FileNotFoundError, UnicodeDecodeError):
            text = ""
        except OSError:
            # Not known, but surely lower than the time in seconds.
            text = "" if self._generation else str(clock.now_s())
        known = int(text) if text.isdecimal() and len(text) < 16 else 0
        self._generation = max(known, self._generation) + 1
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

    def _hold(self) -> None:
        """Raises :class:`Held`, or another :class:`OSError` where there can be no lock."""
        lock = (self.path / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise Held(str(self.path)) from error
        except OSError:
            lock.close()
            raise
        if self._lock is not None:
            self._lock.close()
        self._lock = lock


def board_serial() -> str:
    """The serial number of the board, or nothing where it has none."""
    try:
        raw = Path("/sys/firmware/devicetree/base/serial-number").read_bytes()
    except OSError:
        return ""
    return raw.rstrip(b"\0\n").decode("ascii", "replace")


def board_model() -> str:
    """The computer's model, where the firmware says it."""
    try:
        return Path("/sys/firmware/devicetree/base/model").read_text().rstrip("\0\n")
    except OSError:
        return platform.machine()
