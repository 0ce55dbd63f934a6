"""Schedules the next commit: the earliest request determines when it is due."""

import asyncio


class CommitTimer:
    """A timer of the event loop."""

    def __init__(self) -> None:
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def wake_in(self, delay_s: float) -> None:
        """Request a commit within ``delay_s`` seconds."""
        if delay_s <= 0:
            self._due.set()
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + delay_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay_s, self._due.set)

    async def wait(self) -> None:
        """Return when a commit is due. To get another one, request it again afterwards."""
        await self._due.wait()
        self._due.clear()
        self.close()

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
