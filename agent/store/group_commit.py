"""Group commit: readings that arrive together are committed together; appending waits only if too many are queued."""

import asyncio

from agent.base.reading import Reading, Stamp
from agent.store.commit import Commit
from agent.store.commit_queue import CommitQueue
from agent.store.commit_timer import CommitTimer
from agent.store.limits import StoreLimits


class GroupCommit:
    """Runs in the event loop. ``commit_s``: how long a reading may wait for others. ``failing``: the disk cannot be
    written at present; then nobody waits for room."""

    def __init__(self, commit_s: float, limits: StoreLimits) -> None:
        self._commit_s = commit_s
        self._settle_s = max(commit_s, limits.settle_s)
        self._timer = CommitTimer()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self.queue = CommitQueue(limits)
        self.failing = False

    def append(self, reading: Reading) -> None:
        """Add a reading: it is committed within ``commit_s``, or at once if it is urgent or many are queued."""
        self.queue.append(reading)
        self._wake_in(0.0 if reading.urgent or self.queue.full else self._commit_s)

    def settle(self, stream: str, start: int, stop: int) -> None:
        """Add a settled range, to be committed at low priority."""
        self.queue.settle(stream, start, stop)
        self._wake_in(self._settle_s)

    def remember(self, name: str, value: str) -> None:
        """Add a property, to be committed at low priority."""
        self.queue.remember(name, value)
        self._wake_in(self._settle_s)

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Add a description, to be committed at once."""
        self.queue.describe(meta_hash, sensors)
        self._wake_in(0.0)

    async def wait_for_room(self) -> None:
        """Return when more readings fit without displacing others; at once while the disk is failing, when the oldest
        are displaced."""
        while not self.failing and self.queue.full:
            self._room.clear()
            self._timer.wake_in(0.0)
            await self._room.wait()

    async def flush(self) -> None:
        """Return when everything added so far is committed."""
        self._timer.wake_in(0.0)
        await self._idle.wait()

    async def due(self) -> None:
        """Return when a commit is due."""
        await self._timer.wait()

    def begin(self, max_rows: int, now: Stamp, meta_hash: str) -> Commit | None:
        """Return the next commit; ``None`` if nothing is waiting."""
        if self.queue.empty:
            self._idle.set()
            return None
        return self.queue.begin(max_rows, now, meta_hash)

    def put_back(self, commit: Commit) -> None:
        """Put a failed commit back: it is retried first."""
        self.queue.put_back(commit)
        self._timer.wake_in(0.0)

    def after_commit(self) -> None:
        """Continue after a commit: schedule the next one, or wake those waiting in :meth:`flush`."""
        if len(self.queue):
            self._timer.wake_in(0.0)
        elif self.queue.empty:
            self._idle.set()

    def release_waiters(self) -> None:
        """Wake those waiting in :meth:`wait_for_room` if there is room."""
        if self.failing or self.queue.has_room:
            self._room.set()

    def close(self) -> None:
        """Cancel the timer."""
        self._timer.close()

    def _wake_in(self, delay_s: float) -> None:
        self._idle.clear()
        self._timer.wake_in(delay_s)
