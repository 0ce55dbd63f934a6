"""What a store does while it is recorded: a program that runs under the shim.

``python -m tests.crashes.store_workloads WORKLOAD DIRECTORY JOURNAL BOOT SEED SYNCHRONOUS``. The marks in the journal
say what was accepted when; :mod:`tests.crashes.store_account` keeps account of them.
"""

import asyncio
import errno
import random
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import count
from pathlib import Path

from agent.base.reading import Reading, Row, Stamp, packed
from agent.store import store as store_module
from agent.store.commit import Commit
from agent.store.io.backend import Backend
from agent.store.io.errors import StoreError
from agent.store.limits import StoreLimits
from agent.store.store import Store
from agent.store.unsettled_rows import RowRanges
from tests.crashes.journal import Shim
from tests.support.mosquitto import until

STREAMS = ("telemetry/a", "telemetry/b", "event/door-1")
LIMITS = StoreLimits(
    failure_grace_s=0.05,
    disk_check_s=0.05,
    probe_s=0.05,
    max_probe_s=0.1,
    upkeep_s=0.05,
    retry_s=0.02,
    gap_s=0.0,
    settle_s=0.02,
)
ROOMY, TIGHT = 1 << 20, 208 << 10
"""Sizes of a store: no row has to go; some have."""

_shim = Shim()


class RecordedBackend(Backend):
    """Marks what goes in, what is accepted, and what is settled. ``publishes``: rows may be sent once they have their
    numbers; ``synchronous``: SQLite's setting, where a test weakens it."""

    publishes = True
    synchronous = ""

    def open(self, board: str) -> None:
        super().open(board)
        if self.synchronous and self.disk is not None:
            self.disk.tables.connection.execute(f"PRAGMA synchronous={self.synchronous}")

    def commit(self, commit: Commit) -> Commit:
        _shim.mark("attempt", [(reading.stream, reading.body) for reading in commit.readings])
        _shim.mark("settle", list(commit.settled))
        super().commit(commit)
        _shim.mark("shed", list(commit.shed))
        self._accepted(commit.assigned)
        return commit

    def begin_epoch(self, epoch: str, since: Mapping[str, int]) -> None:
        _shim.mark("moving", epoch, dict(since))
        super().begin_epoch(epoch, since)
        self._accepted({name: (1, account.next) for name, account in self.active.accounts.items()})

    def upkeep(self) -> None:
        durable = self.durable
        super().upkeep()
        if self.durable and not durable:
            self._accepted({name: (1, account.next) for name, account in self.active.accounts.items()})

    def end_rescue(self) -> RowRanges:
        lost = super().end_rescue()
        _shim.mark("given up", lost)
        return lost

    def close(self) -> RowRanges:
        _shim.mark("closing")
        return super().close()

    def _accepted(self, spans: Mapping[str, tuple[int, int]]) -> None:
        rows: dict[str, list[Row]] = {}
        try:
            for name, (start, stop) in spans.items():
                rows[name] = self.active.rows(name, start, stop, stop - start)
        except StoreError:
            return
        _shim.mark("accepted", rows, self.durable, self.publishes)


class Source:
    """Makes readings, each once."""

    def __init__(self, boot_id: str, dice: random.Random) -> None:
        self._boot_id = boot_id
        self._numbers = count(1)
        self._dice = dice

    def now(self) -> Stamp:
        """The time; it goes on with every question."""
        n = next(self._numbers)
        return Stamp(1_795_000_000_000 + n, n, 1)

    def readings(self, n: int, size_bytes: int = 120) -> Iterable[Reading]:
        """Some readings of random streams."""
        for _ in range(n):
            stamp = self.now()
            text = f"{self._boot_id}-{stamp.mono_ms}-".ljust(self._dice.randint(20, size_bytes), "x")
            stream = self._dice.choice(STREAMS)
            yield Reading(stream, stamp, "mh000000", packed({"n": text}))


class Run:
    """One run of a store. ``boot_id``: of the boot in which it runs."""

    def __init__(self, folder: Path, boot_id: str, seed: str) -> None:
        self.folder = folder
        self._boot_id = boot_id
        self._dice = random.Random(f"{seed} {boot_id}")
        self.source = Source(boot_id, self._dice)
        self.store: Store

    async def open(self, max_bytes: int = ROOMY, *, publishes: bool = True) -> None:
        """Open the store."""
        RecordedBackend.publishes = publishes
        path = self.folder / "store.db"
        self.store = await Store.open(path, max_bytes, 0.0, self._boot_id, "", self.source.now, limits=LIMITS)

    async def commits(self, n: int, rows: int = 4, size_bytes: int = 120) -> None:
        """Commit some readings, in groups."""
        for _ in range(n):
            for reading in self.source.readings(rows, size_bytes):
                self.store.append(reading)
            await self.store.flush()

    async def settle_some(self, share: float = 0.5) -> None:
        """Let the broker acknowledge some of what is owed."""
        for name, account in self.store.accounts.items():
            for start, stop in list(account.settled.gaps(1, account.next)):
                if self._dice.random() < share:
                    self.store.settle(name, start, (start + stop + 1) // 2)
        await self.store.flush()

    async def read_all(self) -> None:
        """Read everything that is owed, as delivery does."""
        for name, account in list(self.store.accounts.items()):
            await self.store.read([(name, start, stop, stop - start) for start, stop in list(account.deliverable())])

    async def close(self) -> None:
        """Close the store."""
        assert await self.store.close(5.0)


async def append(run: Run) -> None:
    """Group commits, settled ranges, properties and descriptions; a clean stop."""
    await run.open()
    await run.store.describe("mh000000", b"{}" * 40)
    for turn in range(6):
        await run.commits(3)
        await run.settle_some()
        run.store.remember("turn", str(turn))
    await run.close()


async def evict(run: Run) -> None:
    """A store that is full: delivered rows go, then others."""
    await run.open(TIGHT)
    for turn in range(14):
        await run.commits(2, rows=12, size_bytes=600)
        if turn % 4 < 2:
            await run.settle_some(0.8)
    await run.close()


async def begin_epoch(run: Run) -> None:
    """The broker has seen higher numbers than the store: what was given since the start gets a new epoch."""
    await run.open(publishes=False)
    await run.commits(4)
    await run.store.begin_epoch("behind_broker")
    RecordedBackend.publishes = True
    await run.commits(3)
    await run.settle_some()
    await run.close()


async def overflow(run: Run) -> None:
    """The disk refuses to be written twice: numbers are given in memory and written later."""
    await run.open()
    for error in (errno.EIO, errno.ENOSPC):
        await run.commits(3)
        _shim.refuse(error)
        await run.commits(4)
        await run.settle_some(0.3)
        assert not run.store.durable
        await run.commits(2)
        _shim.refuse(0)
        await until(lambda: run.store.durable)
        await run.commits(2)
    await run.close()


async def deleted(run: Run) -> None:
    """Somebody deletes the file while it is open: it is restored from the open connection."""
    await run.open()
    await run.commits(6)
    await run.settle_some()
    path = run.folder / "store.db"
    _shim.mark("missing", True)
    path.unlink()
    await until(path.exists)
    await run.commits(1)  # by then, the check that found it has ended
    _shim.mark("missing", False)
    await run.commits(4)
    await run.close()


async def full(run: Run) -> None:
    """The disk fills up, and has room again."""
    await run.open()
    await run.commits(6, rows=8, size_bytes=400)
    await run.settle_some(1.0)
    _shim.room(2048)
    await run.commits(8, rows=8, size_bytes=400)
    await run.settle_some(1.0)
    await run.commits(4, rows=8, size_bytes=400)
    _shim.room(-1)
    await until(lambda: run.store.durable)
    await run.commits(3)
    await run.close()


async def continue_(run: Run) -> None:
    """The next start, whatever is there: new epoch, older schema, rescue. Then a few commits."""
    await run.open()
    await run.read_all()
    await run.commits(2)
    await until(lambda: not run.store.rescuing, 30.0)
    await run.settle_some()
    await run.commits(2)
    await run.close()


WORKLOADS: Mapping[str, Callable[[Run], Awaitable[None]]] = {
    "append": append,
    "evict": evict,
    "begin_epoch": begin_epoch,
    "overflow": overflow,
    "deleted": deleted,
    "full": full,
    "continue": continue_,
}


def main() -> None:
    """Record one workload."""
    name, folder, journal, boot_id, seed, synchronous = sys.argv[1:]
    store_module.Backend = RecordedBackend  # type: ignore[misc]
    RecordedBackend.synchronous = synchronous
    _shim.begin(Path(folder), Path(journal))
    asyncio.run(_run(WORKLOADS[name], Run(Path(folder), boot_id, seed)))
    _shim.end()


async def _run(workload: Callable[[Run], Awaitable[None]], run: Run) -> None:
    async with asyncio.timeout(50.0):
        await workload(run)


if __name__ == "__main__":
    main()
