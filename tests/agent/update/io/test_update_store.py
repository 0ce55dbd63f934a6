"""The steps of an update from the event loop: those that must be on the disk, and those that go on without it."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.base.errors import RejectedError
from agent.base.io.atomic_files import AtomicDirectory
from agent.config.generation import Cause, Generation
from agent.update.io.update_store import UpdateStore

FIRST, SECOND = Generation("a = 1"), Generation("a = 2")
SETTLE_S = 10.0


class Disk(AtomicDirectory):
    """Takes nothing while it is ``full``."""

    full = False

    def write(self, name: str, content: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(name, content)


class Bench:
    """A store over a disk, and the time."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk(folder)
        self.now_s = 100.0
        self.store = self.opened()

    def opened(self) -> UpdateStore:
        """As after a restart."""
        return UpdateStore(self.disk, lambda: self.now_s, SETTLE_S)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


async def test_a_candidate_is_named_from_its_staging_until_it_is_good(bench: Bench) -> None:
    store = bench.store
    await store.adopt(FIRST)
    await store.stage(SECOND, "hash")
    assert [store.is_named(one) for one in (FIRST, SECOND, Generation("a = 3"))] == [True, True, False]
    await store.applying()
    await store.probation()
    await store.confirm()
    again = bench.opened()
    assert (again.good(), again.goods(), again.candidate()) == (SECOND, [SECOND, FIRST], None)
    assert again.state == store.state
    assert (again.unwritten, again.lost, again.trust_lost) == (False, False, False)


async def test_what_must_be_on_the_disk_is_refused_where_it_is_not(bench: Bench) -> None:
    await bench.store.adopt(FIRST)
    bench.disk.full = True
    for step in (bench.store.stage(SECOND), bench.store.keep_origin("finger")):
        with pytest.raises(RejectedError) as caught:
            await step
        assert caught.value.code == "not_saved"
    assert not bench.store.state.under_way
    assert bench.store.due_s == float("inf")


async def test_what_goes_on_without_the_disk_is_told_to_it_again_later(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    store = bench.store
    await store.adopt(FIRST)
    await store.stage(SECOND)
    bench.disk.full = True
    await store.applying()
    await store.roll_back(Cause("sensor", "why"))
    assert (store.state.phase, bench.opened().state.phase, store.unwritten) == ("rolled_back", "staged", True)
    assert len(caplog.records) == 1, "a disk that stays full is told of once"
    assert store.due_s == bench.now_s + SETTLE_S
    bench.disk.full = False
    bench.now_s += SETTLE_S - 1
    await store.settle_if_due()
    assert store.unwritten
    bench.now_s += 1
    await store.settle_if_due()
    assert (bench.opened().state, store.unwritten, store.due_s) == (store.state, False, float("inf"))
