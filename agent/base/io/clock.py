"""The only module that reads the time."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from agent.base.reading import Stamp
from agent.base.timekeeping.clock_trust import ClockTrust
from agent.base.timekeeping.gnss_offset import GnssOffset

BUILD_MS = 1_793_000_000_000
"""No correct clock can be earlier than this: the day of this release (2026-10-26) in Unix milliseconds."""

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RECHECK_MS = 10_000
_MAX_SAMPLE_MS = 100


def boot_id() -> str:
    """Return the first 8 hex digits of this boot's id."""
    try:
        return _BOOT_ID.read_text().replace("-", "")[:8]
    except OSError:
        return "00000000"


def mono_ms() -> int:
    """Return milliseconds since boot, including time asleep."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def now_s() -> int:
    """Return the clock's time in Unix seconds, trusted or not."""
    return int(time.time())


def wall_ms() -> int:
    """Return the clock's time in Unix milliseconds, trusted or not."""
    return time.time_ns() // 1_000_000


def synchronised() -> bool:
    """Return whether systemd or the kernel reports that the clock follows a time server."""
    return _SYNCHRONISED.exists() or _kernel_says_synchronised()


class Clock:
    """Time with its quality. Thread-safe.

    ``wall``, ``mono``: return milliseconds of the clock and since boot; ``proof``: returns whether the clock is
    synchronised.
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
        self._recheck_ms = 0
        self._gnss = GnssOffset()
        self._lock = Lock()

    @property
    def floor_ms(self) -> int:
        """The newest trusted time: an unproven clock that starts before it is unset."""
        return self._trust.floor_ms

    @property
    def proven_ms(self) -> int:
        """The newest time of a synchronised clock; 0 if there was none."""
        return self._trust.proven_ms

    def restore(self, floor_ms: int, proven_ms: int = 0) -> None:
        """Load both values as saved by an earlier run."""
        with self._lock:
            self._trust.restore(floor_ms, proven_ms)

    def offer_gnss(self, t: int, mono_ms: int) -> None:
        """Record that a GNSS receiver told the time ``t`` at ``mono_ms``."""
        with self._lock:
            self._gnss.offer(t, mono_ms)

    def forget_gnss(self) -> None:
        """Use the system clock alone again: no GNSS receiver is configured any more, or another one."""
        with self._lock:
            self._gnss = GnssOffset()

    def now(self) -> Stamp:
        """Return the current time: of the GNSS receiver, if there is one and it had a fix lately, or else of a
        synchronised system clock, or else of whatever is most plausible."""
        with self._lock:
            before_ms = self._mono()
            t = self._wall()
            mono = self._mono()
            # If the two monotonic readings are far apart, the process may have been suspended in between; that is not a
            # clock step.
            stepped = mono - before_ms < _MAX_SAMPLE_MS and self._trust.stepped(t, mono)
            if stepped or mono >= self._recheck_ms:
                self._synchronised = self._proof()
                self._recheck_ms = mono + _RECHECK_MS
            gnss_ms = self._gnss.time_ms(mono)
            if gnss_ms is None or (self._synchronised and not self._gnss.is_fresh(mono)):
                return Stamp(t, mono, self._trust.quality(t, mono, synchronised=self._synchronised))
            self._trust.prove(gnss_ms)
            return Stamp(gnss_ms, mono, 3 if self._gnss.is_fresh(mono) else 1)


def _kernel_says_synchronised() -> bool:
    """Query the kernel's clock discipline with ``adjtimex``: chrony and ntpd leave no marker file."""
    # A struct timex is 208 bytes on 64-bit Linux. modes = 0 only reads; the result 5 (TIME_ERROR) means "not
    # synchronised".
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        answer: int = libc.adjtimex(ctypes.create_string_buffer(256))
    except (OSError, AttributeError):
        return False
    return 0 <= answer < 5
