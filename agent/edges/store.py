"""The store, as the services see it: appends that never wait, commits in groups, numbers that come back.

One thread owns the files (:mod:`agent.edges.store_backend`). What is on its way there is held in memory, bounded; the
accounts of the streams are kept here as well, so that the uplink can look at them without asking the thread. The store
never fails: while the disk takes nothing, numbers are given in memory, and what cannot be read is held.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from agent.core.account import FIRST_NUMBER, StreamAccount
from agent.core.boot_times import BootTimes
from agent.core.events import rows_lost, rows_lost_unnumbered, store_reset
from agent.core.failure import Overdue
from agent.core.log_fields import tagged
from agent.core.reading import AGENT, Fresh, Reading, Row, Stamp, event
from agent.core.text import say
from agent.core.wire import packed
from agent.edges.database import Commit, Range
from agent.edges.store_backend import Backend, News
from agent.edges.store_errors import StoreError
from agent.edges.store_files import StoreFiles
from agent.edges.worker import Worker

T = TypeVar("T")
_log = logging.getLogger(__name__)

_MAX_PENDING = 20_000
"""Readings held before they have a number: about 6 MB."""
_FULL_PENDING, _ROOMY_PENDING = 8_000, 4_000
"""Readings that wait for a number, above which the sensors wait as well, and below which they go on."""
_GAP_S = 0.005
"""Between two commits, so that readings that come one by one still share them."""
_SETTLE_S = 5.0
"""A settled range waits at most this long for a commit of readings to ride on."""
_RETRY_S = 0.5
_UPKEEP_S = 2.0
_RESCUE_AGAIN_S = 10.0


class Store:
    """The open store. ``accounts`` is for reading; ``on_commit`` is called after each commit of readings.

    Made by :meth:`open`. All methods belong to the event loop.
    """

    def __init__(
        self, backend: Backend, worker: Worker, folder: Path, commit_s: float, bid: str, now: Callable[[], Stamp]
    ) -> None:
        self._backend = backend
        self._worker = worker
        self._folder = folder
        self._commit_s = commit_s
        self._now = now
        self._pending: deque[Reading] = deque()
        self._settled: list[Range] = []
        self._committing: list[Range] = []
        self._dropped: Counter[str] = Counter()
        self._remembered: dict[str, str] = {}
        self._descriptions: dict[str, bytes] = {}
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        self._failed = ""
        self._ep = backend.active.property("ep")
        self._known = dict(backend.active.properties)
        self._rescue: asyncio.Task[None] | None = None
        self.mh = ""
        self.times = BootTimes(bid)
        """Which times rows are sent with that were measured while the clock was unset."""
        self.left = 0
        """After :meth:`close`: rows that the broker does not have, and the disk did not take."""
        self.on_commit: Callable[[Mapping[str, Fresh]], None] = lambda fresh: None
        self.accounts: dict[str, StreamAccount] = {
            name: account.copy() for name, account in backend.active.accounts.items()
        }
        self._opened_at = {name: account.next for name, account in self.accounts.items()}
        self.task = asyncio.create_task(self._run(), name="store")
        """Runs until :meth:`close`; ends before it only by a fault of the program."""

    @classmethod
    async def open(
        cls, path: Path, max_bytes: int, commit_s: float, bid: str, board: str, now: Callable[[], Stamp],
        prepare: "Callable[[Store], Awaitable[None]] | None" = None,
    ) -> "Store":  # fmt: skip
        """Open or create the store. A damaged file is set aside, beside it, and a new one begun; where the disk takes
        nothing, the store begins in memory. ``prepare``: called before the first event is given its time.

        Raises :class:`~agent.edges.store_errors.StoreNewer`.
        """
        worker = Worker("store")
        backend = Backend(StoreFiles(path, max_bytes, bid), max_bytes, bid, now)
        try:
            await worker.call(partial(backend.open, board))
        except BaseException:
            worker.close()
            raise
        store = cls(backend, worker, path.parent, commit_s, bid, now)
        if prepare is not None:
            await prepare(store)
        store._hear()
        for one in backend.left:
            store.announce(rows_lost(*one, "memory"))
        for one in backend.missing:
            store.announce(rows_lost(*one, "corrupt"))
        return store

    @property
    def ep(self) -> str:
        """The epoch in which numbers are given now."""
        return self._ep

    @property
    def durable(self) -> bool:
        """Whether rows are on the disk once they have a number."""
        return self._backend.durable

    async def newest_ms(self) -> int:
        """The newest trusted time of any row; 0 where there is none."""
        return await self._call(self._backend.newest_ms)

    async def describe(self, mh: str, sensors: bytes) -> None:
        """Append under this description from now on; keep it for as long as rows need it."""
        self._descriptions[mh] = sensors
        self._idle.clear()
        self._wake_in(0.0)
        self.mh = mh

    async def description(self, mh: str) -> bytes:
        """The bytes of a description; empty where it is not known."""
        kept = self._descriptions.get(mh)
        return kept if kept is not None else await self._call(partial(self._backend.description, mh))

    async def begin_epoch(self, why: str) -> None:
        """Count all that was given since the store was opened, and all further numbers, to a new epoch; say so in
        an event. For as long as nothing of it was sent."""
        since = {name: self._opened_at.get(name, FIRST_NUMBER) for name in self.accounts}
        await self._call(partial(self._backend.begin_epoch, token_hex(4), since))
        before = [(name, *one) for name, account in self.accounts.items() for one in account.before()[-1:]]
        self.announce(store_reset(why, before))

    async def read(self, wanted: Sequence[tuple[str, int, int, int]]) -> list[list[Row]]:
        """For each (stream, start, stop, limit) the rows of ``[start, stop)``, rising, at most ``limit``. What cannot
        be read is held by its account afterwards. Their times are those that they are sent with."""
        found = await self._call(partial(self._backend.read, wanted))
        return [self.times.corrected(one[0], rows) for one, rows in zip(wanted, found, strict=True)]

    async def room(self) -> None:
        """Return when more readings can be taken without pushing others out. While the disk takes nothing, this does
        not wait: then the oldest give way."""
        while not self._failed and len(self._pending) >= _FULL_PENDING:
            self._room.clear()
            self._ready.set()
            await self._room.wait()

    def append(self, reading: Reading) -> None:
        """Take a reading. It has its number within ``commit_s``, at once if urgent."""
        if len(self._pending) >= _MAX_PENDING:
            self._dropped[self._pending.popleft().stream] += 1
        self._pending.append(reading)
        self._idle.clear()
        self._wake_in(0.0 if reading.urgent or len(self._pending) >= _FULL_PENDING else self._commit_s)

    def announce(self, row: Mapping[str, object]) -> None:
        """Append an event of the agent's own."""
        self.append(Reading(event(AGENT), self._now(), self.mh, packed(row), urgent=True))

    def settle(self, stream: str, start: int, stop: int) -> None:
        """The numbers ``[start, stop)`` need not be sent any more. Durable with the next commit."""
        if self.accounts[stream].settled.add(start, stop):
            self._settled.append((stream, start, stop))
            self._idle.clear()
            self._wake_in(max(self._commit_s, _SETTLE_S))

    def remember(self, name: str, value: str) -> None:
        """Keep a small text over restarts. Durable with the next commit."""
        self._remembered[name] = self._known[name] = value
        self._idle.clear()
        self._wake_in(max(self._commit_s, _SETTLE_S))

    def recall(self, name: str) -> str:
        """What was remembered; empty where there is nothing."""
        return self._known.get(name, "")

    async def probe(self) -> None:
        """Return when the thread of the store has come to this, whatever the disk says to what was before it."""
        await self._worker.call(lambda: None)

    def unsettled(self) -> int:
        """How many readings the broker does not have yet, those without a number included."""
        return len(self._pending) + sum(account.unsettled() for account in self.accounts.values())

    def hurry(self) -> None:
        """There is little time left: what the disk does not take now gets its numbers in memory."""
        self._backend.patience_ms = 0

    async def flush(self) -> None:
        """Return when all that was appended and settled so far is durable, or numbered in memory while the disk takes
        nothing."""
        self._ready.set()
        await self._idle.wait()

    async def close(self, timeout_s: float) -> bool:
        """Make durable what can be within ``timeout_s``, and let go of the file. Says whether nothing had to be left;
        ``left`` then counts it."""
        self.hurry()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), timeout_s)
        ending = [task for task in (self.task, self._rescue) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self.left = len(self._pending)
        try:
            left = await self._worker.call(self._backend.close, timeout_s)
        except Overdue:
            return False
        self._worker.close()
        self.left += sum(stop - start for _, _, start, stop in left)
        return self.left == 0

    async def _call(self, function: Callable[[], T]) -> T:
        """Ask the thread, and hear what happened there."""
        result = await self._worker.call(function)
        self._hear()
        return result

    def _wake_in(self, delay_s: float) -> None:
        """Commit within so many seconds: whoever wants it soonest is heard."""
        if delay_s <= 0:
            self._ready.set()
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + delay_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay_s, self._ready.set)

    async def _run(self) -> None:
        upkeep = asyncio.create_task(self._look_after())
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                pause_s = await self._commit()
                if self._failed or len(self._pending) < _ROOMY_PENDING:
                    self._room.set()
                await asyncio.sleep(pause_s)
        finally:
            upkeep.cancel()

    async def _look_after(self) -> None:
        while True:
            self._begin_rescue()
            await asyncio.sleep(_UPKEEP_S)
            await self._call(self._backend.upkeep)

    def _begin_rescue(self) -> None:
        if self._rescue is None and self._backend.durable and self._backend.rescues:
            self._rescue = asyncio.create_task(self._rescue_all(), name="rescue")

    async def _commit(self) -> float:
        """Commit what is waiting; say how long to wait before the next commit, seconds."""
        readings = [self._pending.popleft() for _ in range(min(len(self._pending), self._backend.max_rows))]
        self._committing, self._settled = self._settled, []
        remembered, self._remembered = self._remembered, {}
        descriptions = dict(self._descriptions)
        commit = Commit(readings, self._now(), self.mh, self._committing, remembered, descriptions)
        if not (readings or commit.settled or remembered or descriptions):
            self._idle.set()
            return 0.0
        try:
            await self._worker.call(partial(self._backend.commit, commit))
        except StoreError as error:
            self._settled = commit.settled + self._settled
            self._remembered = remembered | self._remembered
            self._pending.extendleft(reversed(readings))
            self._ready.set()
            self._hear()
            if not self._failed:
                self._failed = str(error)
                line = say("cannot write to the store ({error}); holding readings in memory", error=error)
                _log.error(line, extra=tagged("store_write_failed"))
            return _RETRY_S
        finally:
            self._committing = []
        self._hear()
        self._back()
        for mh, sensors in descriptions.items():
            if self._descriptions.get(mh) is sensors:
                del self._descriptions[mh]
        self._take_over(commit, readings)
        return _GAP_S

    def _back(self) -> None:
        if self._failed and self._backend.durable:
            self._failed = ""
            _log.warning(say("the store can be written again"), extra=tagged("store_back"))

    def _tell_dropped(self) -> None:
        # Taken first: what tells of it may push something out itself.
        dropped, self._dropped = self._dropped, Counter()
        for name, n in dropped.items():
            self.announce(rows_lost_unnumbered(name, self.ep, n, "memory"))

    def _take_over(self, commit: Commit, readings: list[Reading]) -> None:
        """Bring the accounts to where the store is now, and tell the uplink."""
        for name, (start, stop) in commit.given.items():
            account = self.accounts.get(name)
            if account is None:
                account = self.accounts[name] = StreamAccount.beginning_at(start, self.ep)
            account.next = max(account.next, stop)
        for name, start, stop in commit.gone:
            self.accounts[name].settled.add(start, stop)
            self.accounts[name].gone.add(start, stop)
        for name, start, stop in commit.shed:
            _log.warning(say("the store is full: {n} undelivered rows of {stream} were given up",
                             n=stop - start, stream=name), extra=tagged("store_full"))  # fmt: skip
        self._tell_dropped()
        if self._pending:
            self._ready.set()
        elif not (self._settled or self._remembered or self._descriptions):
            self._idle.set()
        if commit.given:
            self.on_commit(_fresh(commit, readings))

    def _hear(self) -> None:
        """Take over what happened in the thread."""
        while self._backend.news:
            news = self._backend.news.popleft()
            self._ep = news.ep
            for name, account in news.accounts.items():
                self.accounts[name] = account
            for name, start, stop in (*self._committing, *self._settled):
                if name in self.accounts:
                    self.accounts[name].settled.add(start, stop)
            self._tell(news)
            self.on_commit({})

    def _tell(self, news: News) -> None:
        if news.kind == "durable":
            self._failed = self._failed or "memory"
            self._back()
        if news.kind not in ("reset", "replaced"):
            return
        if news.why != "not_durable" or not self._failed:
            line, code = _lines(news, self._folder)
            _log.error(line, extra=tagged(code))
        if news.why == "not_durable":
            self._failed = news.detail or news.why
        # Whatever the thread has from a file that was damaged at the start.
        self._known = {**self._backend.active.properties, **self._known}
        self.announce(store_reset(news.why, news.before, news.detail[:200]))
        self._begin_rescue()

    async def _rescue_all(self) -> None:
        """Bring back what can be read of the files that were set aside."""
        from agent.edges.store_rescue import rescue

        try:
            await rescue(self._backend, self._call, self._folder)
        except StoreError:
            await asyncio.sleep(_RESCUE_AGAIN_S)
        finally:
            self._rescue = None


def _lines(news: News, folder: Path) -> tuple[str, str]:
    if news.why == "damaged":
        return say("the store was damaged ({error}); set it aside, began a new one", error=news.detail), "store_damaged"
    if news.why == "not_durable":
        line = say("cannot write to the store ({error}); holding readings in memory", error=news.detail)
        return line, "store_write_failed"
    if news.why == "missing":
        return say("the store in {place} is missing or empty; began a new one", place=folder), "store_missing"
    if news.why == "replaced":
        return say("the store in {place} was deleted or replaced; restored it", place=folder), "store_replaced"
    if news.why == "unclean_reboot":
        return say("the last run did not end cleanly; a new epoch begins"), "unclean_reboot"
    return say("the store was moved to another computer; a new epoch begins"), "other_board"


def _fresh(commit: Commit, readings: list[Reading]) -> dict[str, Fresh]:
    oldest: dict[str, int] = {}
    urgent = {event(AGENT)} if commit.shed else set()
    for reading in readings:
        oldest.setdefault(reading.stream, reading.stamp.mono_ms)
        if reading.urgent:
            urgent.add(reading.stream)
    return {
        name: Fresh(start, stop, oldest.get(name, commit.now.mono_ms), name in urgent)
        for name, (start, stop) in commit.given.items()
    }
