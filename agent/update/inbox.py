"""Messages about configurations: the newest of each kind, and rejected ones that are worth a retry."""

import asyncio
import hashlib

from agent.base.errors import RejectedError
from agent.base.reading import Stamp
from agent.delivery.connection import Message
from agent.update.timings import UpdateTimings

_NEVER = float("inf")
_STEP_MS = 2000
_LATER_MS = 3_600_000
"""As time passes, only dates in the future become valid, and those are days ahead."""


class UpdateInbox:
    """``wake`` is set when something arrives. ``edited``: the gateway's own files may have changed. ``unchanged_hash``:
    SHA-256 (hex) of the last message that changed nothing."""

    def __init__(self, timings: UpdateTimings) -> None:
        self._timings = timings
        self.edited = False
        self.wake = asyncio.Event()
        self.unchanged_hash = ""
        self._news: dict[str, bytes] = {}
        self._deferred: dict[str, bytes] = {}
        self._retry_s = _NEVER
        self._untimely: Stamp | None = None

    def on_message(self, message: Message) -> None:
        """Accept a message; it replaces an earlier one of its kind."""
        self._news[message.topic.rpartition("/")[2]] = message.payload
        self.wake.set()

    def reload(self) -> None:
        """Have the gateway's own files read again."""
        self.edited = True
        self.wake.set()

    def pop(self, kind: str) -> bytes:
        """Return the newest message of a kind and remove it; empty if there is none."""
        return self._news.pop(kind, b"")

    def mark_unchanged(self, raw: bytes) -> None:
        """Record that this message changes nothing, however often it arrives."""
        self.unchanged_hash = hashlib.sha256(raw).hexdigest()

    def begin(self, kind: str) -> None:
        """Drop the deferred message of this kind: a newer one is being handled."""
        self._deferred.pop(kind, None)
        self._untimely = None

    def defer(self, kind: str, raw: bytes, error: RejectedError, now: Stamp) -> None:
        """Keep a rejected message if a retry may have another result."""
        if error.transient:
            self._retry_s = now.mono_ms / 1000 + self._timings.retry_s
        elif kind == "desired":
            self.mark_unchanged(raw)
        if error.depends_on_clock:
            self._untimely = now
        if error.code != "too_large":
            self._deferred[kind] = raw

    def retry(self) -> None:
        """Queue the deferred messages again: the reason for their rejection may be gone."""
        self.unchanged_hash, self._retry_s, self._untimely = "", _NEVER, None
        if self._deferred:
            self.wake.set()
        self._news = self._deferred | self._news
        self._deferred = {}

    def retry_if_due(self, now: Stamp) -> None:
        """Call :meth:`retry` if enough time has passed or the clock was set."""
        if now.mono_ms / 1000 >= self._retry_s or self._was_set(now):
            self.retry()

    def due_s(self, now_s: float) -> float:
        """Return when to call :meth:`retry_if_due`."""
        return self._retry_s if self._untimely is None else min(self._retry_s, now_s + self._timings.clock_s)

    def _was_set(self, now: Stamp) -> bool:
        """Return whether the clock was stepped or became trusted since the message was rejected."""
        since = self._untimely
        if since is None:
            return False
        step_ms = (now.t - now.mono_ms) - (since.t - since.mono_ms)
        better = now.clock_quality > 0 and since.clock_quality == 0
        return better or abs(step_ms) > _STEP_MS or now.mono_ms - since.mono_ms > _LATER_MS
