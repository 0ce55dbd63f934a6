"""The store's interface to the event loop: appends never wait, commits are grouped, and numbers are reported back.

One thread owns the files (:mod:`agent.store.io.backend`). Readings on their way to it are held in memory, bounded; the
streams' accounts are also kept here, so that the uplink can read them without asking the thread. The store never fails:
while the disk cannot be written, numbers are assigned in memory, and what cannot be read is held.
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
from agent.base.events import rows_lost_unnumbered, store_reset
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
from agent.store.store_change import StoreChange, log_line_and_code
from agent.store.stream_account import FIRST_NUMBER, StreamAccount

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Store:
    """The open store, created by :meth:`open`. ``accounts`` is read-only; ``on_commit`` is called after each commit of
    readings.

    Call all methods from the event loop.
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
        self._epoch = backend.active.property("ep")
        self._properties = dict(backend.active.properties)
        self._upkeep = Upkeep(backend, self._call, folder, settings.limits)
        self.meta_hash = ""
        self.times = BootTimes(settings.boot_id)
        """Corrects the times of rows measured while the clock was unset."""
        self.unwritten = 0
        """After :meth:`close`: undelivered rows that could not be written to disk."""
        self.on_commit: Callable[[Mapping[str, CommittedRange]], None] = lambda ranges: None
        self.accounts: dict[str, StreamAccount] = {
            name: account.copy() for name, account in backend.active.accounts.items()
        }
        self._opened_at = {name: account.next for name, account in self.accounts.items()}
        self.task = asyncio.create_task(self._run(), name="store")
        """Runs until :meth:`close`; ends earlier only because of an internal error."""

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
        """Open or create the store. A damaged file is set aside in the same directory and a new one started; if the
        disk cannot be used, the store starts in memory. ``prepare``: called before the first event gets its time.

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
        await store._call(backend.record_losses)
        return store

    @property
    def epoch(self) -> str:
        """The epoch in which numbers are assigned now."""
        return self._epoch

    @property
    def durable(self) -> bool:
        """True if numbered rows are on disk."""
        return self._backend.durable

    @property
    def rescuing(self) -> bool:
        """True if rows of a damaged file may still be recovered."""
        return bool(self._backend.rescues)

    async def newest_ms(self) -> int:
        """Return the newest trusted time of any row; 0 if there is none."""
        return await self._call(self._backend.newest_ms)

    async def describe(self, meta_hash: str, sensors: bytes) -> None:
        """Append under this description from now on; it is kept for as long as rows need it."""
        self._group.describe(meta_hash, sensors)
        self.meta_hash = meta_hash

    async def description(self, meta_hash: str) -> bytes:
        """Return the bytes of a description; empty if unknown."""
        queued = self._group.queue.description(meta_hash)
        return queued if queued is not None else await self._call(partial(self._backend.description, meta_hash))

    async def begin_epoch(self, why: str) -> None:
        """Begin a new epoch that includes all numbers assigned since the store was opened, and announce it. Call only
        while none of these numbers has been sent."""
        since = {name: self._opened_at.get(name, FIRST_NUMBER) for name in self.accounts}
        await self._call(partial(self._backend.begin_epoch, token_hex(4), since))
        before = [(name, *ended) for name, account in self.accounts.items() for ended in account.ended_epochs()[-1:]]
        self.announce(store_reset(why, before))

    async def read(self, ranges: Sequence[tuple[str, int, int, int]]) -> list[list[Row]]:
        """Return the rows of ``[start, stop)`` for each (stream, start, stop, limit), ascending, at most ``limit``,
        with the times to send. Rows that cannot be read are held by their account afterwards."""
        results = await self._call(partial(self._backend.read, ranges))
        return [self.times.corrected(span[0], rows) for span, rows in zip(ranges, results, strict=True)]

    async def wait_for_room(self) -> None:
        """Return when more readings fit without displacing others. While the disk is failing, this does not wait: the
        oldest are displaced."""
        await self._group.wait_for_room()

    def append(self, reading: Reading) -> None:
        """Append a reading. It gets its number within ``commit_s``, at once if urgent."""
        self._group.append(reading)

    def announce(self, row: Mapping[str, object]) -> None:
        """Append an event of the agent's own."""
        self.append(Reading(event(AGENT), self._now(), self.meta_hash, packed(row), urgent=True))

    def settle(self, stream: str, start: int, stop: int) -> None:
        """Mark ``[start, stop)`` as not to be sent any more. Durable with the next commit."""
        if self.accounts[stream].settled.add(start, stop):
            self._group.settle(stream, start, stop)

    def remember(self, name: str, value: str) -> None:
        """Keep a small text across restarts. Durable with the next commit."""
        self._properties[name] = value
        self._group.remember(name, value)

    def recall(self, name: str) -> str:
        """Return a remembered text; empty if there is none."""
        return self._properties.get(name, "")

    async def probe(self) -> None:
        """Return when the store's thread has reached this call, whatever the outcome of the calls before it."""
        await self._worker.call(lambda: None)

    def unsettled(self) -> int:
        """Return how many readings the broker has not acknowledged, including those without a number."""
        return len(self._group.queue) + sum(account.unsettled() for account in self.accounts.values())

    def skip_disk_grace(self) -> None:
        """Stop waiting for a failing disk: rows that cannot be written now get their numbers in memory."""
        self._backend.skip_disk_grace()

    async def flush(self) -> None:
        """Return when everything appended and settled so far is durable, or numbered in memory while the disk is
        failing."""
        await self._group.flush()

    async def close(self, timeout_s: float) -> bool:
        """Write what can be written within ``timeout_s`` and close the file. Return whether everything was written;
        ``unwritten`` counts the rest."""
        self.skip_disk_grace()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), timeout_s)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._group.close()
        self.unwritten = len(self._group.queue)
        try:
            unwritten = await self._worker.call(self._backend.close, timeout_s)
        except CallTimeout:
            return False
        self._worker.close()
        self.unwritten += sum(stop - start for _unused, _unused, start, stop in unwritten)
        return self.unwritten == 0

    async def _call(self, function: Callable[[], T]) -> T:
        """Call the thread, then apply the changes that it reported."""
        result = await self._worker.call(function)
        self._apply_changes()
        return result

    async def _run(self) -> None:
        upkeep = asyncio.create_task(self._upkeep.run(), name="upkeep")
        try:
            while True:
                await self._group.due()
                pause_s = await self._commit()
                self._group.release_waiters()
                await asyncio.sleep(pause_s)
        finally:
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)

    async def _commit(self) -> float:
        """Commit what is waiting; return the delay before the next commit in seconds."""
        commit = self._group.begin(self._backend.max_rows, self._now(), self.meta_hash)
        if commit is None:
            return 0.0
        try:
            await self._worker.call(partial(self._backend.commit, commit))
        except StoreError as error:
            self._group.put_back(commit)
            self._apply_changes()
            self._note_failure(error)
            return self._limits.retry_s
        self._group.queue.done(commit)
        self._apply_changes()
        self._note_recovery()
        self._apply_commit(commit)
        return self._limits.gap_s

    def _note_failure(self, error: StoreError) -> None:
        if not self._group.failing:
            self._group.failing = True
            line = _("cannot write to the store ({error}); holding readings in memory").format(error=error)
            _log.error(line, extra=log_extra(LogCode.STORE_WRITE_FAILED))

    def _note_recovery(self) -> None:
        if self._group.failing and self._backend.durable:
            self._group.failing = False
            _log.warning(_("the store can be written again"), extra=log_extra(LogCode.STORE_BACK))

    def _report_dropped(self) -> None:
        # Collected first: reporting them may itself displace a reading.
        for name, n in self._group.queue.pop_dropped().items():
            self.announce(rows_lost_unnumbered(name, self.epoch, n, "memory"))

    def _apply_commit(self, commit: Commit) -> None:
        """Update the accounts to the state of the store, and notify the uplink."""
        commit.apply_to(self.accounts, self.epoch)
        for name, start, stop in commit.shed:
            line = _("the store is full: dropped {n} undelivered rows of {stream}").format(n=stop - start, stream=name)
            _log.warning(line, extra=log_extra(LogCode.STORE_FULL))
        self._report_dropped()
        self._group.after_commit()
        if commit.assigned:
            self.on_commit(commit.committed_ranges())

    def _apply_changes(self) -> None:
        """Apply the changes reported by the thread."""
        while self._backend.changes:
            change = self._backend.changes.popleft()
            self._epoch = change.epoch
            self.accounts.update(change.accounts)
            for name, start, stop in self._group.queue.settled():
                if name in self.accounts:
                    self.accounts[name].settled.add(start, stop)
            self._report(change)
            self.on_commit({})

    def _report(self, change: StoreChange) -> None:
        if change.kind == "durable":
            self._group.failing = True
            self._note_recovery()
        if change.kind not in ("reset", "replaced"):
            return
        if change.why != "not_durable" or not self._group.failing:
            line, code = log_line_and_code(change, self._folder)
            _log.error(line, extra=log_extra(code))
        self._group.failing = self._group.failing or change.why == "not_durable"
        # Includes what the thread recovered from a file that was damaged at the start.
        self._properties = {**self._backend.active.properties, **self._properties}
        self.announce(store_reset(change.why, change.before, change.detail[:200]))
        self._upkeep.begin_rescue()
