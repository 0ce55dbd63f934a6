"""The store, as the services see it: appends that never wait, commits in groups, numbers that come back.

One thread owns the files (:mod:`agent.store.io.backend`). What is on its way there is held in memory, bounded; the
accounts of the streams are kept here as well, so that the uplink can look at them without asking the thread. The store
never fails: while the disk takes nothing, numbers are given in memory, and what cannot be read is held.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from agent.base.codes import LogCode, log_extra
from agent.base.errors import CallTimeout
from agent.base.events import rows_lost, rows_lost_unnumbered, store_reset
from agent.base.i18n import _
from agent.base.io.worker import Worker
from agent.base.reading import AGENT, CommittedRange, Reading, Row, Stamp, event, packed
from agent.store.boot_times import BootTimes
from agent.store.commit import Commit
from agent.store.group_commit import GroupCommit
from agent.store.io.backend import Backend
from agent.store.io.databases import DatabaseSettings
from agent.store.io.errors import StoreError
from agent.store.io.files import StoreFiles
from agent.store.io.upkeep import Upkeep
from agent.store.limits import StoreLimits
from agent.store.news import News, line_and_code
from agent.store.stream_account import FIRST_NUMBER, StreamAccount

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Store:
    """The open store. ``accounts`` is for reading; ``on_commit`` is called after each commit of readings.

    Made by :meth:`open`. All methods belong to the event loop.
    """

    def __init__(
        self, backend: Backend, worker: Worker, folder: Path, group: GroupCommit, settings: DatabaseSettings
    ) -> None:
        self._backend = backend
        self._worker = worker
        self._folder = folder
        self._group = group
        self._limits = settings.limits
        self._now = settings.now
        self._ep = backend.active.property("ep")
        self._known = dict(backend.active.properties)
        self._upkeep = Upkeep(backend, self._call, folder, settings.limits)
        self.meta_hash = ""
        self.times = BootTimes(settings.boot_id)
        """Which times rows are sent with that were measured while the clock was unset."""
        self.left = 0
        """After :meth:`close`: rows that the broker does not have, and the disk did not take."""
        self.on_commit: Callable[[Mapping[str, CommittedRange]], None] = lambda fresh: None
        self.accounts: dict[str, StreamAccount] = {
            name: account.copy() for name, account in backend.active.accounts.items()
        }
        self._opened_at = {name: account.next for name, account in self.accounts.items()}
        self.task = asyncio.create_task(self._run(), name="store")
        """Runs until :meth:`close`; ends before it only by a fault of the program."""

    @classmethod
    async def open(
        cls,
        path: Path,
        max_bytes: int,
        commit_s: float,
        boot_id: str,
        board: str,
        now: Callable[[], Stamp],
        prepare: "Callable[[Store], Awaitable[None]] | None" = None,
        limits: StoreLimits | None = None,
    ) -> "Store":
        """Open or create the store. A damaged file is set aside, beside it, and a new one begun; where the disk takes
        nothing, the store begins in memory. ``prepare``: called before the first event is given its time.

        Raises :class:`~agent.store.io.errors.StoreNewer`.
        """
        worker = Worker("store")
        settings = DatabaseSettings(max_bytes, boot_id, now, limits or StoreLimits())
        backend = Backend(StoreFiles(path, max_bytes, boot_id), settings)
        try:
            await worker.call(partial(backend.open, board))
        except BaseException:
            worker.close()
            raise
        store = cls(backend, worker, path.parent, GroupCommit(commit_s, settings.limits), settings)
        if prepare is not None:
            await prepare(store)
        store._hear()
        for rows in backend.left:
            store.announce(rows_lost(*rows, "memory"))
        for rows in backend.missing:
            store.announce(rows_lost(*rows, "corrupt"))
        return store

    @property
    def epoch(self) -> str:
        """The epoch in which numbers are given now."""
        return self._ep

    @property
    def durable(self) -> bool:
        """Whether rows are on the disk once they have a number."""
        return self._backend.durable

    @property
    def rescuing(self) -> bool:
        """Whether rows of a damaged file may still come back."""
        return bool(self._backend.rescues)

    async def newest_ms(self) -> int:
        """The newest trusted time of any row; 0 where there is none."""
        return await self._call(self._backend.newest_ms)

    async def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Append under this description from now on; keep it for as long as rows need it."""
        self._group.describe(meta_hash, sensors)
        self.meta_hash = meta_hash

    async def description(self, meta_hash: str) -> bytes:
        """The bytes of a description; empty where it is not known."""
        kept = self._group.queue.description(meta_hash)
        return kept if kept is not None else await self._call(partial(self._backend.description, meta_hash))

    async def begin_epoch(self, why: str) -> None:
        """Count all that was given since the store was opened, and all further numbers, to a new epoch; say so in
        an event. For as long as nothing of it was sent."""
        since = {name: self._opened_at.get(name, FIRST_NUMBER) for name in self.accounts}
        await self._call(partial(self._backend.begin_epoch, token_hex(4), since))
        before = [(name, *ended) for name, account in self.accounts.items() for ended in account.before()[-1:]]
        self.announce(store_reset(why, before))

    async def read(self, wanted: Sequence[tuple[str, int, int, int]]) -> list[list[Row]]:
        """For each (stream, start, stop, limit) the rows of ``[start, stop)``, rising, at most ``limit``. What cannot
        be read is held by its account afterwards. Their times are those that they are sent with."""
        found = await self._call(partial(self._backend.read, wanted))
        return [self.times.corrected(span[0], rows) for span, rows in zip(wanted, found, strict=True)]

    async def room(self) -> None:
        """Return when more readings can be taken without pushing others out. While the disk takes nothing, this does
        not wait: then the oldest give way."""
        await self._group.room()

    def append(self, reading: Reading) -> None:
        """Take a reading. It has its number within ``commit_s``, at once if urgent."""
        self._group.append(reading)

    def announce(self, row: Mapping[str, object]) -> None:
        """Append an event of the agent's own."""
        self.append(Reading(event(AGENT), self._now(), self.meta_hash, packed(row), urgent=True))

    def settle(self, stream: str, start: int, stop: int) -> None:
        """The numbers ``[start, stop)`` need not be sent any more. Durable with the next commit."""
        if self.accounts[stream].settled.add(start, stop):
            self._group.settle(stream, start, stop)

    def remember(self, name: str, value: str) -> None:
        """Keep a small text over restarts. Durable with the next commit."""
        self._known[name] = value
        self._group.remember(name, value)

    def recall(self, name: str) -> str:
        """What was remembered; empty where there is nothing."""
        return self._known.get(name, "")

    async def probe(self) -> None:
        """Return when the thread of the store has come to this, whatever the disk says to what was before it."""
        await self._worker.call(lambda: None)

    def unsettled(self) -> int:
        """How many readings the broker does not have yet, those without a number included."""
        return len(self._group.queue) + sum(account.unsettled() for account in self.accounts.values())

    def hurry(self) -> None:
        """There is little time left: what the disk does not take now gets its numbers in memory."""
        self._backend.hurry()

    async def flush(self) -> None:
        """Return when all that was appended and settled so far is durable, or numbered in memory while the disk takes
        nothing."""
        await self._group.flush()

    async def close(self, timeout_s: float) -> bool:
        """Make durable what can be within ``timeout_s``, and let go of the file. Says whether nothing had to be left;
        ``left`` then counts it."""
        self.hurry()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), timeout_s)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._group.close()
        self.left = len(self._group.queue)
        try:
            left = await self._worker.call(self._backend.close, timeout_s)
        except CallTimeout:
            return False
        self._worker.close()
        self.left += sum(stop - start for _unused, _unused, start, stop in left)
        return self.left == 0

    async def _call(self, function: Callable[[], T]) -> T:
        """Ask the thread, and hear what happened there."""
        result = await self._worker.call(function)
        self._hear()
        return result

    async def _run(self) -> None:
        upkeep = asyncio.create_task(self._upkeep.run(), name="upkeep")
        try:
            while True:
                await self._group.due()
                pause_s = await self._commit()
                self._group.make_room()
                await asyncio.sleep(pause_s)
        finally:
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)

    async def _commit(self) -> float:
        """Commit what is waiting; say how long to wait before the next commit, seconds."""
        commit = self._group.begin(self._backend.max_rows, self._now(), self.meta_hash)
        if commit is None:
            return 0.0
        try:
            await self._worker.call(partial(self._backend.commit, commit))
        except StoreError as error:
            self._group.put_back(commit)
            self._hear()
            self._note_failure(error)
            return self._limits.retry_s
        self._group.queue.done(commit)
        self._hear()
        self._back()
        self._take_over(commit)
        return self._limits.gap_s

    def _note_failure(self, error: StoreError) -> None:
        if not self._group.failing:
            self._group.failing = True
            line = _("cannot write to the store ({error}); holding readings in memory").format(error=error)
            _log.error(line, extra=log_extra(LogCode.STORE_WRITE_FAILED))

    def _back(self) -> None:
        if self._group.failing and self._backend.durable:
            self._group.failing = False
            _log.warning(_("the store can be written again"), extra=log_extra(LogCode.STORE_BACK))

    def _tell_dropped(self) -> None:
        # Taken first: what tells of it may push something out itself.
        for name, n in self._group.queue.dropped().items():
            self.announce(rows_lost_unnumbered(name, self.epoch, n, "memory"))

    def _take_over(self, commit: Commit) -> None:
        """Bring the accounts to where the store is now, and tell the uplink."""
        commit.apply_to(self.accounts, self.epoch)
        for name, start, stop in commit.shed:
            line = _("the store is full: dropped {n} undelivered rows of {stream}").format(n=stop - start, stream=name)
            _log.warning(line, extra=log_extra(LogCode.STORE_FULL))
        self._tell_dropped()
        self._group.go_on()
        if commit.given:
            self.on_commit(commit.fresh())

    def _hear(self) -> None:
        """Take over what happened in the thread."""
        while self._backend.news:
            news = self._backend.news.popleft()
            self._ep = news.epoch
            self.accounts.update(news.accounts)
            for name, start, stop in self._group.queue.settled():
                if name in self.accounts:
                    self.accounts[name].settled.add(start, stop)
            self._tell(news)
            self.on_commit({})

    def _tell(self, news: News) -> None:
        if news.kind == "durable":
            self._group.failing = True
            self._back()
        if news.kind not in ("reset", "replaced"):
            return
        if news.why != "not_durable" or not self._group.failing:
            line, code = line_and_code(news, self._folder)
            _log.error(line, extra=log_extra(code))
        self._group.failing = self._group.failing or news.why == "not_durable"
        # Whatever the thread has from a file that was damaged at the start.
        self._known = {**self._backend.active.properties, **self._known}
        self.announce(store_reset(news.why, news.before, news.detail[:200]))
        self._upkeep.begin_rescue()
