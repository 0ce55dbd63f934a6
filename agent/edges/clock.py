"""The only reader of time."""

import time
from pathlib import Path

from agent.core.reading import Stamp

BUILD_MS = 1_793_000_000_000
"""Unix milliseconds before which no true clock can stand: the day of this release (2026-10-26)."""

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """First 8 hex digits of this boot's id."""
    try:
        return _BOOT_ID.read_text().replace("-", "")[:8]
    except OSError:
        return "00000000"


def mono_ms() -> int:
    """Milliseconds since boot, time asleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def now_s() -> int:
    """The time in Unix seconds, whatever it is worth."""
    return int(time.time())


class Clock:
    """Time with its quality."""

    def __init__(self) -> None:
        self._floor_ms = BUILD_MS
        self._synchronised = False
        self._look_again_ms = 0

    def raise_floor(self, newest_ms: int) -> None:
        """Take a time known from before, behind which no true clock can stand."""
        self._floor_ms = max(self._floor_ms, newest_ms)

    def now(self) -> Stamp:
        """The time of this moment."""
        t = time.time_ns() // 1_000_000
        mono = mono_ms()
        if t < self._floor_ms:
            return Stamp(t, mono, 0)
        if mono >= self._look_again_ms:
            self._synchronised = _SYNCHRONISED.exists() or _kernel_says_synchronised()
            self._look_again_ms = mono + 10_000
        return Stamp(t, mono, 2 if self._synchronised else 1)


def _kernel_says_synchronised() -> bool:
    """Ask the kernel's clock discipline, as ``adjtimex`` does: chrony and ntpd leave no file behind."""
    # A struct timex is 208 bytes on 64-bit Linux; modes = 0 only reads, and 5 (TIME_ERROR) says "not synchronised".
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        answer: int = libc.adjtimex(ctypes.create_string_buffer(256))
    except (OSError, AttributeError):
        return False
    return 0 <= answer < 5
