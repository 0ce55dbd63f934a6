"""What comes together is committed together; nobody waits for that, unless there is too much."""

import asyncio

from agent.base.reading import Reading, Stamp
from agent.store.commit import Commit
from agent.store.commit_queue import CommitQueue
from agent.store.commit_timer import CommitTimer
from agent.store.limits import StoreLimits


class GroupCommit:
    """Belongs to the event loop. ``commit_s``: how long a reading may wait for others. ``failing``: whether the disk
    takes nothing at present; then nobody waits for room."""

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
        """Take a reading: it is committed within ``commit_s``, at once if it is urgent or there are many."""
        self.queue.append(reading)
        self._wake_in(0.0 if reading.urgent or self.queue.full else self._commit_s)

    def settle(self, stream: str, start: int, stop: int) -> None:
        """Take a settled range, which need not be hurried."""
        self.queue.settle(stream, start, stop)
        self._wake_in(self._settle_s)

    def remember(self, name: str, value: str) -> None:
        """Take a text to remember, which need not be hurried."""
        self.queue.remember(name, value)
        self._wake_in(self._settle_s)

    def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Take a description, which is committed at once."""
        self.queue.describe(meta_hash, sensors)
        self._wake_in(0.0)

    async def room(self) -> None:
        """Return when more readings can be taken without pushing others out; at once while the disk takes nothing:
        then the oldest give way."""
        while not self.failing and self.queue.full:
            self._room.clear()
            self._timer.wake_in(0.0)
            await self._room.wait()

    async def flush(self) -> None:
        """Return when everything so far is committed."""
        self._timer.wake_in(0.0)
        await self._idle.wait()

    async def due(self) -> None:
        """Return when a commit is wanted."""
        await self._timer.wait()

    def begin(self, max_rows: int, now: Stamp, meta_hash: str) -> Commit | None:
        """The next commit; ``None`` where nothing waits."""
        if self.queue.empty:
            self._idle.set()
            return None
        return self.queue.begin(max_rows, now, meta_hash)

    def put_back(self, commit: Commit) -> None:
        """A commit failed: it comes first next time."""
        self.queue.put_back(commit)
        self._timer.wake_in(0.0)

    def go_on(self) -> None:
        """A commit is over: wake who waited for it."""
        if len(self.queue):
            self._timer.wake_in(0.0)
        elif self.queue.empty:
            self._idle.set()

    def make_room(self) -> None:
        """Let those go on that wait for room, if there is some."""
        if self.failing or self.queue.roomy:
            self._room.set()

    def close(self) -> None:
        """No commit is wanted any more."""
        self._timer.close()

    def _wake_in(self, delay_s: float) -> None:
        self._idle.clear()
        self._timer.wake_in(delay_s)
