"""The only reader of time."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from agent.base.clock_trust import ClockTrust
from agent.base.reading import Stamp

BUILD_MS = 1_793_000_000_000
"""Unix milliseconds before which no true clock can stand: the day of this release (2026-10-26)."""

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOOK_MS = 10_000
_TOGETHER_MS = 100


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


def wall_ms() -> int:
    """What the clock shows, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def synchronised() -> bool:
    """Whether systemd or the kernel says that the clock follows a time server."""
    return _SYNCHRONISED.exists() or _kernel_says_synchronised()


class Clock:
    """Time with its quality. Asked from any thread.

    ``wall``, ``mono``: milliseconds of the clock and since boot; ``proof``: whether the clock is synchronised.
    """

    def __init__(
        self,
        wall: Callable[[], int] = wall_ms,
        mono: Callable[[], int] = mono_ms,
        proof: Callable[[], bool] = synchronised,
    ) -> None:
        self._wall = wall
        self._mono = mono
        self._proof = proof
        self._trust = ClockTrust(BUILD_MS)
        self._synchronised = False
        self._look_again_ms = 0
        self._lock = Lock()

    @property
    def floor_ms(self) -> int:
        """The newest trusted time: an unproven clock that starts behind it is unset."""
        return self._trust.floor_ms

    @property
    def proven_ms(self) -> int:
        """The newest time of a synchronised clock; 0 where there was none."""
        return self._trust.proven_ms

    def restore(self, floor_ms: int, proven_ms: int = 0) -> None:
        """Take over both from before this start."""
        with self._lock:
            self._trust.restore(floor_ms, proven_ms)

    def now(self) -> Stamp:
        """The time of this moment."""
        with self._lock:
            before_ms = self._mono()
            t = self._wall()
            mono = self._mono()
            # Between two looks that lie apart this process may have stood still: that is no step of the clock.
            stepped = mono - before_ms < _TOGETHER_MS and self._trust.stepped(t, mono)
            if stepped or mono >= self._look_again_ms:
                self._synchronised = self._proof()
                self._look_again_ms = mono + _LOOK_MS
            return Stamp(t, mono, self._trust.quality(t, mono, synchronised=self._synchronised))


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
