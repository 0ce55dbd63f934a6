"""Messages about configurations: the newest of each kind, and those that were refused and may be worth another look."""

import asyncio
import hashlib

from agent.base.errors import RejectedError
from agent.base.reading import Stamp
from agent.delivery.connection import Message
from agent.update.timings import UpdateTimings

_NEVER = float("inf")
_STEP_MS = 2000
_LATER_MS = 3_600_000
"""By itself time makes good only dates in the future, which lie days ahead."""


class UpdateInbox:
    """``wake`` is set when something comes; ``edited``: the gateway's own files were perhaps changed. ``looked_at``:
    SHA-256 (hex) of the message that would change nothing."""

    def __init__(self, timings: UpdateTimings) -> None:
        self._timings = timings
        self.edited = False
        self.wake = asyncio.Event()
        self.looked_at = ""
        self._news: dict[str, bytes] = {}
        self._put_by: dict[str, bytes] = {}
        self._again_s = _NEVER
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
        """The newest message of a kind, once; empty where there is none."""
        return self._news.pop(kind, b"")

    def seen(self, raw: bytes) -> None:
        """It changes nothing, however often it comes."""
        self.looked_at = hashlib.sha256(raw).hexdigest()

    def begin(self, kind: str) -> None:
        """A message of this kind is looked at: what was put by before is history."""
        self._put_by.pop(kind, None)
        self._untimely = None

    def put_by(self, kind: str, raw: bytes, error: RejectedError, now: Stamp) -> None:
        """A message was refused; keep it for when another look may end otherwise."""
        if error.transient:
            self._again_s = now.mono_ms / 1000 + self._timings.again_s
        elif kind == "desired":
            self.seen(raw)
        if error.depends_on_clock:
            self._untimely = now
        if error.code != "too_large":
            self._put_by[kind] = raw

    def look_again(self) -> None:
        """What messages were refused for may have changed."""
        self.looked_at, self._again_s, self._untimely = "", _NEVER, None
        if self._put_by:
            self.wake.set()
        self._news = self._put_by | self._news
        self._put_by = {}

    def look_again_if_due(self, now: Stamp) -> None:
        """The same, where enough time has passed, or the clock was set."""
        if now.mono_ms / 1000 >= self._again_s or self._was_set(now):
            self.look_again()

    def due_s(self, now_s: float) -> float:
        """When to call :meth:`look_again_if_due`."""
        return self._again_s if self._untimely is None else min(self._again_s, now_s + self._timings.clock_s)

    def _was_set(self, now: Stamp) -> bool:
        """Whether the clock shows another time than it would by itself, or is trusted now."""
        since = self._untimely
        if since is None:
            return False
        step_ms = (now.t - now.mono_ms) - (since.t - since.mono_ms)
        better = now.clock_quality > 0 and since.clock_quality == 0
        return better or abs(step_ms) > _STEP_MS or now.mono_ms - since.mono_ms > _LATER_MS
