"""How rows go from the file to memory and back, over damage, full disks and swapped files; on a clock moved by hand."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from agent.base.reading import Reading, Stamp
from agent.store.commit import Commit
from agent.store.io.backend import Backend
from agent.store.io.databases import DatabaseSettings
from agent.store.io.errors import StoreError, StoreNewer
from agent.store.io.files import StoreFiles
from agent.store.limits import StoreLimits
from tests.agent.store.store_fakes import NOW, OWN, A


class Bench:
    """A backend in a folder, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.now_ms = 1_000_000
        self.backend = self.opened()

    def opened(self, boot_id: str = "b0070000", board: str = "") -> Backend:
        settings = DatabaseSettings(1 << 24, boot_id, lambda: NOW, StoreLimits(), lambda: self.now_ms)
        self.backend = Backend(StoreFiles(self.path, 1 << 24, boot_id), settings)
        self.backend.open(board)
        self.backend.record_losses()
        return self.backend

    def losses(self) -> list[tuple[str, str, int, int]]:
        """What was reported as lost: stream, epoch, first number, number after the last."""
        (rows,) = self.backend.read([(OWN, 1, 1 << 43, 9999)])
        events = [msgpack.unpackb(row.body) for row in rows]
        return [(event["stream"], event["ep"], event["from"], event["to"] + 1) for event in events]

    def commit(self, count: int = 1, size: int = 10) -> Commit:
        readings = [Reading(A, Stamp(NOW.t, 0, 1), "mh000000", bytes(size)) for _ in range(count)]
        return self.backend.commit(Commit(readings, NOW, "mh000000"))

    def numbers(self) -> list[int]:
        (rows,) = self.backend.read([(A, 1, 1 << 43, 9999)])
        return [row.seq for row in rows]

    def epochs(self) -> list[str]:
        (rows,) = self.backend.read([(A, 1, 1 << 43, 9999)])
        return [row.context.epoch for row in rows]

    def changes(self) -> list[tuple[str, str]]:
        """What was told since the last call."""
        told = [(change.kind, change.why) for change in self.backend.changes]
        self.backend.changes.clear()
        return told

    def fill_disk(self, pages: int = 1) -> None:
        """Let the file grow no further; ``pages``: or up to this many."""
        disk = self.backend.disk
        assert disk is not None
        disk.tables.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        disk.cap_size = disk.uncap_size = lambda: None  # type: ignore[method-assign]

    def into_memory(self) -> None:
        """Commits fail until numbers are given in memory."""
        self.fill_disk()
        with pytest.raises(StoreError):
            self.commit(500, size=200)
        self.now_ms += 3000
        self.commit(500, size=200)
        assert not self.backend.durable


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.backend.close()


def test_commits_may_fail_for_three_seconds_before_numbers_are_given_in_memory(bench: Bench) -> None:
    bench.commit()
    before = bench.backend.active.property("ep")
    bench.fill_disk()
    for _ in range(2):
        with pytest.raises(StoreError):
            bench.commit(500, size=200)
        bench.now_ms += 1499
    bench.now_ms += 2
    assert bench.commit(500, size=200).assigned == {A: (2, 502)}
    assert not bench.backend.durable
    assert bench.changes() == [("reset", "not_durable")]
    assert bench.numbers() == list(range(1, 502))
    after = bench.backend.active.property("ep")
    assert bench.epochs() == [before] + [after] * 500


def test_a_commit_that_works_begins_the_patience_anew(bench: Bench) -> None:
    bench.fill_disk()
    with pytest.raises(StoreError):
        bench.commit(500, size=200)
    bench.now_ms += 2999
    bench.fill_disk(1_000_000)
    bench.commit()
    bench.fill_disk()
    bench.now_ms += 2999
    with pytest.raises(StoreError):
        bench.commit(500, size=200)


def test_there_is_no_patience_when_the_agent_stops(bench: Bench) -> None:
    bench.fill_disk()
    bench.backend.skip_disk_grace()
    assert bench.commit(500, size=200).assigned == {A: (1, 501)}
    assert not bench.backend.durable


def test_rows_in_memory_follow_into_the_file_when_the_disk_takes_them(bench: Bench) -> None:
    bench.commit()
    bench.into_memory()
    epochs = bench.epochs()
    bench.backend.commit(Commit([], NOW, "", [(A, 2, 100)]))
    bench.changes()
    bench.fill_disk(1_000_000)
    bench.backend.upkeep()
    assert not bench.backend.durable, "it is not time to try"
    bench.now_ms += 2000
    bench.backend.upkeep()
    assert bench.backend.durable
    assert bench.changes() == [("durable", "")]
    bench.backend.close()
    bench.opened()
    assert bench.numbers() == [1, *range(100, 502)]
    assert bench.epochs() == [epochs[0], *epochs[99:]]
    assert bench.commit().assigned == {A: (502, 503)}


def test_a_disk_that_still_takes_nothing_is_tried_more_and_more_rarely(bench: Bench) -> None:
    bench.into_memory()
    bench.fill_disk()
    bench.now_ms += 2000
    bench.backend.upkeep()
    bench.fill_disk(1_000_000)
    bench.now_ms += 3999
    bench.backend.upkeep()
    assert not bench.backend.durable
    bench.now_ms += 1
    bench.backend.upkeep()
    assert bench.backend.durable


def test_a_folder_that_was_deleted_meanwhile_is_made_again(bench: Bench) -> None:
    bench.commit(3)
    bench.into_memory()
    shutil.rmtree(bench.path.parent)
    bench.fill_disk(1_000_000)
    bench.now_ms += 2000
    bench.backend.upkeep()
    assert bench.backend.durable
    assert bench.path.exists()
    assert bench.numbers() == list(range(1, 504))


def test_rows_that_the_disk_does_not_take_at_the_end_are_left_and_noted(bench: Bench) -> None:
    bench.commit()
    bench.into_memory()
    epoch = bench.backend.active.property("ep")
    bench.fill_disk()
    assert bench.backend.close() == [(A, epoch, 2, 502)]
    bench.opened()
    assert bench.losses() == [(A, epoch, 2, 502)]
    assert bench.numbers() == [1], "what is counted as lost is not owed"
    assert bench.backend.active.accounts[A].unsettled() == 1
    assert bench.changes() == [("changed", "")]


def test_a_store_that_cannot_be_written_is_read_all_the_same(bench: Bench) -> None:
    bench.commit(3)
    other = bench.backend
    bench.opened("b0070001")
    assert not bench.backend.durable, "another process holds it"
    assert bench.commit().assigned != {A: (4, 5)}
    other.close()
    bench.now_ms += 2000
    bench.backend.upkeep()
    assert bench.backend.durable
    assert bench.numbers()[:3] == [1, 2, 3]
    assert len(bench.numbers()) == 4


def test_a_deleted_file_is_put_back_with_everything(bench: Bench) -> None:
    bench.commit(3)
    bench.path.unlink()
    bench.now_ms += 10_000
    bench.backend.upkeep()
    assert bench.changes() == [("replaced", "replaced")]
    assert bench.path.exists()
    bench.commit()
    bench.backend.close()
    bench.opened()
    assert bench.numbers() == [1, 2, 3, 4]


def test_another_file_in_its_place_is_kept_aside(bench: Bench) -> None:
    bench.commit(3)
    bench.path.rename(bench.path.with_name("moved"))
    bench.path.write_bytes(b"another")
    bench.backend.upkeep()
    assert bench.changes() == [("replaced", "replaced")]
    assert bench.path.with_name("store.db.swapped-b0070000").read_bytes() == b"another"
    bench.path.unlink()
    bench.backend.upkeep()
    assert bench.changes() == [], "it looks every ten seconds"


def test_a_damaged_page_is_met_by_a_new_file_whose_numbers_go_on(bench: Bench) -> None:
    bench.commit(300)
    bench.backend.close()
    size = bench.path.stat().st_size
    with bench.path.open("r+b") as stream:
        stream.seek(8 * 1024)
        stream.write(os.urandom(size - 8 * 1024))
    bench.opened()
    assert bench.changes() == []
    assert bench.numbers() == []
    assert bench.changes() == [("reset", "damaged")]
    (aside,) = bench.backend.rescues
    assert (aside.file, dict(aside.names)) == ("store.db.broken-b0070000", {"1": A})
    assert dict(aside.stops) == {A: 301}
    assert list(bench.backend.active.accounts[A].held) == [(1, 301)]
    assert bench.commit().assigned == {A: (301, 302)}
    lost = bench.backend.end_rescue()
    assert [rows[2:] for rows in lost] == [(1, 301)]
    assert bench.backend.rescues == []
    assert bench.backend.active.accounts[A].unsettled() == 1


def test_a_file_that_is_missing_is_told_with_what_it_owed(bench: Bench) -> None:
    bench.commit(3)
    epoch = bench.backend.active.property("ep")
    bench.backend.close()
    bench.path.unlink()
    bench.opened()
    assert bench.changes() == [("reset", "missing"), ("changed", "")]
    assert bench.losses() == [(A, epoch, 1, 4)]


def test_a_newer_release_s_store_is_left_alone(bench: Bench) -> None:
    disk = bench.backend.disk
    assert disk is not None
    disk.tables.connection.execute("PRAGMA user_version = 99")
    bench.backend.close()
    with pytest.raises(StoreNewer):
        bench.opened()
    bench.path = bench.path.with_name("other.db")
    bench.opened()


@pytest.mark.parametrize(
    ("boot_id", "board", "clean", "told"),
    [
        ("b0070000", "1000", False, []),
        ("b0070001", "1000", True, []),
        ("b0070001", "1000", False, [("reset", "unclean_reboot")]),
        ("b0070000", "2000", True, [("reset", "other_board")]),
    ],
)
def test_an_epoch_begins_where_numbers_could_be_given_twice(
    tmp_path: Path, boot_id: str, board: str, clean: bool, told: list[tuple[str, str]]
) -> None:
    bench = Bench(tmp_path)
    bench.backend.close()
    bench.opened(board="1000")
    epoch = bench.backend.active.property("ep")
    if clean:
        bench.backend.close()
    elif bench.backend.disk is not None:
        bench.backend.disk.close()
    for _ in range(2):
        bench.opened(boot_id, board)
        assert bench.changes() == told
        assert (bench.backend.active.property("ep") != epoch) == bool(told)
        bench.backend.close()
        epoch, told = bench.backend.active.properties["ep"], []


def test_a_commit_is_small_where_the_log_must_not_grow(bench: Bench) -> None:
    assert bench.backend.max_rows == 4000
    disk = bench.backend.disk
    assert disk is not None
    disk.cap_size()
    assert bench.backend.max_rows == 400
    bench.backend.upkeep()
    assert bench.backend.max_rows == 4000, "there is room on the disk"
