"""The store, as the services see it: appends that never wait, commits in groups, numbers that come back.

One thread owns the file (:mod:`agent.edges.database`). What is on its way there is held in memory, bounded; the
accounts of the streams are kept here as well, so that the uplink can look at them without asking the file.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from secrets import token_hex

from agent.core.account import FIRST_NUMBER, StreamAccount
from agent.core.events import rows_lost_unnumbered, store_reset
from agent.core.failure import Overdue
from agent.core.log_fields import tagged
from agent.core.reading import AGENT, Fresh, Reading, Row, Stamp, event
from agent.core.text import say
from agent.core.wire import packed
from agent.edges.database import Commit, Database, Range, StoreBroken, StoreError
from agent.edges.worker import Worker

_log = logging.getLogger(__name__)

_MAX_PENDING = 20_000
"""Readings held in memory while the disk does not take them: about 6 MB."""
_FULL_PENDING, _ROOMY_PENDING = 8_000, 4_000
"""Readings that wait for a commit, above which the sensors wait as well, and below which they go on."""
_MAX_COMMIT = 4_000
_GAP_S = 0.005
"""Between two commits, so that readings that come one by one still share them."""
_SETTLE_S = 5.0
"""A settled range waits at most this long for a commit of readings to ride on."""
_RETRY_S = 1.0


class Store:
    """The open store. ``accounts`` is for reading; ``on_commit`` is called after each commit of readings.

    Made by :meth:`open`. All methods belong to the event loop.
    """

    def __init__(self, database: Database, worker: Worker, commit_s: float, now: Callable[[], Stamp]) -> None:
        self._database = database
        self._worker = worker
        self._commit_s = commit_s
        self._now = now
        self._pending: deque[Reading] = deque()
        self._settled: list[Range] = []
        self._dropped: Counter[str] = Counter()
        self._remembered: dict[str, str] = {}
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()
        self._timer: asyncio.TimerHandle | None = None
        self._failed = ""
        self.mh = ""
        self.on_commit: Callable[[Mapping[str, Fresh]], None] = lambda fresh: None
        self.accounts: dict[str, StreamAccount] = {
            name: StreamAccount(account.epochs, account.next, account.settled, account.gone)
            for name, account in database.accounts.items()
        }
        self._opened_at = {name: account.next for name, account in self.accounts.items()}
        self.task = asyncio.create_task(self._commit_forever(), name="store")
        """Runs until :meth:`close`; ends before it only by a fault of the program."""

    @classmethod
    async def open(
        cls, path: Path, max_bytes: int, commit_s: float, bid: str, board: str, now: Callable[[], Stamp]
    ) -> "Store":
        """Open or create the store. A damaged file is set aside, beside it, and a new one begun.

        Raises :class:`~agent.edges.database.StoreError`.
        """
        worker = Worker("store")
        reset = ""
        create = partial(Database, path, max_bytes, bid, token_hex(4))
        try:
            try:
                database = await worker.call(create)
            except StoreBroken as error:
                aside = _set_aside(path, bid)
                _log.error(say("store {path} is damaged ({error}): kept as {aside}, a new one begins",
                               path=path, error=error.__cause__, aside=aside),
                           extra=tagged("store_damaged"))  # fmt: skip
                reset = "broken"
                database = await worker.call(create)
            known = database.property("board")
            if board and known and board != known:
                await worker.call(partial(database.begin_epoch, token_hex(4), {}))
                reset = "other_board"
            if board and board != known:
                await worker.call(partial(database.set_property, "board", board))
        except BaseException:
            worker.close()
            raise
        store = cls(database, worker, commit_s, now)
        if reset:
            store.announce(store_reset(reset))
        return store

    @property
    def ep(self) -> str:
        """The epoch in which numbers are given now."""
        return self._database.property("ep")

    async def newest_ms(self) -> int:
        """The newest trusted time of any row; 0 where there is none."""
        return await self._worker.call(self._database.newest_ms)

    async def describe(self, mh: str, sensors: bytes) -> None:
        """Append under this description from now on; keep it for as long as rows need it."""
        await self._worker.call(partial(self._database.describe, mh, sensors))
        self.mh = mh

    async def description(self, mh: str) -> bytes:
        """The bytes of a description; empty where it is not known."""
        return await self._worker.call(partial(self._database.description, mh))

    async def begin_epoch(self, why: str) -> None:
        """Count all that was given since the store was opened, and all further numbers, to a new epoch; say so in
        an event. For as long as nothing of it was sent."""
        ep = token_hex(4)
        since = {name: self._opened_at.get(name, FIRST_NUMBER) for name in self.accounts}
        await self._worker.call(partial(self._database.begin_epoch, ep, since))
        for name, account in self.accounts.items():
            account.begin_epoch(ep, since.get(name, account.next))
        self.announce(store_reset(why))

    async def read(self, wanted: Sequence[tuple[str, int, int, int]]) -> list[list[Row]]:
        """For each (stream, start, stop, limit) the durable rows of ``[start, stop)``, rising, at most ``limit``."""
        rows = self._database.rows
        return await self._worker.call(lambda: [rows(*one) for one in wanted])

    async def room(self) -> None:
        """Return when more readings can be taken without pushing others out. While the disk takes nothing, this does
        not wait: then the oldest give way."""
        while not self._failed and len(self._pending) >= _FULL_PENDING:
            self._room.clear()
            self._ready.set()
            await self._room.wait()

    def append(self, reading: Reading) -> None:
        """Take a reading. It is durable within ``commit_s``, at once if urgent."""
        if len(self._pending) >= _MAX_PENDING:
            self._dropped[self._pending.popleft().stream] += 1
        self._pending.append(reading)
        self._idle.clear()
        if reading.urgent or self._commit_s == 0 or len(self._pending) >= _FULL_PENDING:
            self._ready.set()
        elif self._timer is None:
            self._wake_in(self._commit_s)

    def announce(self, row: Mapping[str, object]) -> None:
        """Append an event of the agent's own."""
        self.append(Reading(event(AGENT), self._now(), self.mh, packed(row), urgent=True))

    def settle(self, stream: str, start: int, stop: int) -> None:
        """The numbers ``[start, stop)`` need not be sent any more. Durable with the next commit."""
        if self.accounts[stream].settled.add(start, stop):
            self._settled.append((stream, start, stop))
            self._idle.clear()
            if self._timer is None:
                self._wake_in(max(self._commit_s, _SETTLE_S))

    def remember(self, name: str, value: str) -> None:
        """Keep a small text over restarts. Durable with the next commit."""
        self._remembered[name] = value
        self._idle.clear()
        if self._timer is None:
            self._wake_in(max(self._commit_s, _SETTLE_S))

    def recall(self, name: str) -> str:
        """What was remembered; empty where there is nothing."""
        return self._remembered.get(name) or self._database.property(name)

    async def probe(self) -> None:
        """Return when the thread of the store has come to this, whatever the disk says to what was before it."""
        await self._worker.call(lambda: None)

    def unsettled(self) -> int:
        """How many readings the broker does not have yet, those in memory included."""
        return len(self._pending) + sum(account.unsettled() for account in self.accounts.values())

    async def flush(self) -> None:
        """Return when all that was appended and settled so far is durable. While the disk takes nothing, this waits."""
        self._ready.set()
        await self._idle.wait()

    async def close(self, timeout_s: float) -> bool:
        """Make durable what can be within ``timeout_s``, and let go of the file. Says whether all was made durable."""
        try:
            await asyncio.wait_for(self.flush(), timeout_s)
            durable = True
        except TimeoutError:
            durable = False
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._worker.call(self._database.close, timeout_s)
        except Overdue:
            durable = False
        self._worker.close()
        return durable

    def _wake_in(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ready.set)

    async def _commit_forever(self) -> None:
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

    async def _commit(self) -> float:
        """Commit what is waiting; say how long to wait before the next commit, seconds."""
        readings = [self._pending.popleft() for _ in range(min(len(self._pending), _MAX_COMMIT))]
        settled, self._settled = self._settled, []
        remembered, self._remembered = self._remembered, {}
        commit = Commit(readings, self._now(), self.mh, settled, remembered)
        if not (readings or settled or remembered):
            self._idle.set()
            return 0.0
        try:
            await self._worker.call(partial(self._database.commit, commit))
        except StoreError as error:
            self._settled = settled + self._settled
            self._remembered = remembered | self._remembered
            self._pending.extendleft(reversed(readings))
            self._ready.set()
            if self._failed != type(error).__name__:
                self._failed = type(error).__name__
                line = say("the store takes nothing ({error}): readings wait in memory", error=error)
                _log.error(line, extra=tagged("store_refuses"))
            return _RETRY_S
        if self._failed:
            self._failed = ""
            _log.warning(say("the store takes readings again"), extra=tagged("store_back"))
        self._take_over(commit, readings)
        return _GAP_S

    def _take_over(self, commit: Commit, readings: list[Reading]) -> None:
        """Bring the accounts to where the file is now, and tell the uplink."""
        for name, (start, stop) in commit.given.items():
            account = self.accounts.get(name)
            if account is None:
                account = self.accounts[name] = StreamAccount([(start, self.ep)])
            account.next = stop
        for name, start, stop in commit.gone:
            self.accounts[name].settled.add(start, stop)
            self.accounts[name].gone.add(start, stop)
        for name, start, stop in commit.shed:
            _log.warning(say("the store is full: {n} undelivered rows of {stream} were given up",
                             n=stop - start, stream=name), extra=tagged("store_full"))  # fmt: skip
        for name, n in self._dropped.items():
            self.announce(rows_lost_unnumbered(name, self.ep, n, "memory"))
        self._dropped.clear()
        if self._pending:
            self._ready.set()
        elif not (self._settled or self._remembered):
            self._idle.set()
        if commit.given:
            self.on_commit(_fresh(commit, readings))


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


def _set_aside(path: Path, bid: str) -> Path:
    aside = path.with_name(f"{path.name}.broken-{bid}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
