"""The store's file: numbers, epochs, settling, and what has to go when it is full."""

import sqlite3
from pathlib import Path

import msgpack
import pytest

from agent.base.reading import Reading, Stamp
from agent.store.io.database import MEMORY, Commit, Database, StoreBroken, StoreBusy, StoreError, StoreNewer
from agent.store.io.database_schema import FileSize

NOW = Stamp(1_795_000_000_000, 5_000, 1)


def opened(path: Path, max_bytes: int = 1 << 24) -> Database:
    return Database(path, max_bytes, "b0070000", "aaaaaaaa")


def readings(stream: str, count: int, size: int = 20, t: int = NOW.t) -> list[Reading]:
    body = msgpack.packb({"x": "y" * size})
    return [Reading(stream, Stamp(t + at, NOW.mono_ms + at, 1), "mh000000", body) for at in range(count)]


def committed(database: Database, *all_readings: Reading, settled: list[tuple[str, int, int]] | None = None) -> Commit:
    return database.commit(Commit(list(all_readings), NOW, "mh000000", settled or []))


def test_numbers_are_given_in_order_for_each_stream_and_go_on_after_a_restart(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    first = committed(database, *readings("telemetry/a", 3), *readings("event/a", 1))
    assert first.assigned == {"telemetry/a": (1, 4), "event/a": (1, 2)}
    database.close()
    database = opened(tmp_path / "store.db")
    assert committed(database, *readings("telemetry/a", 2)).assigned == {"telemetry/a": (4, 6)}
    rows = database.rows("telemetry/a", 1, 99, 10)
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].context == ("aaaaaaaa", "b0070000", 1, "mh000000")
    assert (rows[1].t, rows[1].mono_ms) == (NOW.t + 1, NOW.mono_ms + 1)
    assert [row.seq for row in database.rows("telemetry/a", 2, 5, 2)] == [2, 3]
    database.close()


def test_what_is_settled_stays_settled(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 9))
    committed(database, settled=[("telemetry/a", 1, 4), ("telemetry/a", 6, 8)])
    database.close()
    database = opened(tmp_path / "store.db")
    account = database.accounts["telemetry/a"]
    assert list(account.settled) == [(1, 4), (6, 8)]
    assert (account.low_water("aaaaaaaa"), account.next, account.unsettled()) == (4, 10, 4)
    database.close()


def test_a_commit_that_fails_changes_nothing(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 2))
    unusable = Reading("telemetry/a", Stamp(1, 1, 1), "mh000000", None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        committed(database, *readings("telemetry/a", 3), unusable, settled=[("telemetry/a", 1, 2)])
    assert database.accounts["telemetry/a"].next == 3
    assert list(database.accounts["telemetry/a"].settled) == []
    assert committed(database, *readings("telemetry/a", 1)).assigned == {"telemetry/a": (3, 4)}
    assert len(database.rows("telemetry/a", 1, 99, 99)) == 3
    database.close()


def test_the_ring_keeps_its_size_and_lets_delivered_rows_go_first(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = opened(path, max_bytes=1 << 20)
    settled: list[tuple[str, int, int]] = []
    for _ in range(60):
        commit = committed(database, *readings("telemetry/a", 200, size=100), settled=settled)
        start, stop = commit.assigned["telemetry/a"]
        settled = [("telemetry/a", start, stop)]
        assert commit.shed == []
    account = database.accounts["telemetry/a"]
    first = account.first("aaaaaaaa")
    assert 1 < first < account.next
    rows = database.rows("telemetry/a", 1, 1 << 40, 1 << 20)
    assert [row.seq for row in rows] == list(range(first, account.next))
    files = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert files <= 1 << 20, f"{files} bytes on the disk"
    database.close()


def test_undelivered_telemetry_goes_before_events_the_oldest_first_and_is_accounted_for(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db", max_bytes=1 << 19)
    committed(database, *readings("event/door-1", 50, size=100, t=NOW.t - 10_000))
    shed: list[tuple[str, int, int]] = []
    for at in range(20):
        shed += committed(database, *readings("telemetry/a", 150, size=100, t=NOW.t + 1000 * at)).shed
        shed += committed(database, *readings("telemetry/b", 10, size=100, t=NOW.t + 1000 * at)).shed
    assert {name for name, _, _ in shed} >= {"telemetry/a"}
    assert all(name.startswith("telemetry/") for name, _, _ in shed)
    assert len(database.rows("event/door-1", 1, 99, 99)) == 50
    for name in ("telemetry/a", "telemetry/b"):
        account = database.accounts[name]
        gone = [(start, stop) for stream, start, stop in shed if stream == name]
        assert sum(stop - start for start, stop in gone) == account.settled.count()
        kept = {row.seq for row in database.rows(name, 1, 1 << 40, 1 << 20)}
        assert kept == set(range(1, account.next)) - {n for pair in gone for n in range(*pair)}
    events = [msgpack.unpackb(row.body) for row in database.rows("event/_agent", 1, 1 << 30, 1 << 20)]
    named = [(event["stream"], event["from"], event["to"] + 1) for event in events]
    assert named == shed, "each shed range has a lost event of its own, in the same transaction"
    assert {(event["ev"], event["why"], event["ep"]) for event in events} == {("rows_lost", "overflow", "aaaaaaaa")}
    database.close()


def test_events_go_when_nothing_else_is_left(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db", max_bytes=1 << 18)
    shed = [one for _ in range(30) for one in committed(database, *readings("event/door-1", 100, size=100)).shed]
    assert shed
    assert {name for name, _, _ in shed} <= {"event/door-1", "event/_agent"}
    database.close()


def test_a_new_epoch_takes_the_rows_of_this_run_with_it(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 5), *readings("event/a", 2))
    database.begin_epoch("bbbbbbbb", {"telemetry/a": 4})
    database.close()
    database = opened(tmp_path / "store.db")
    assert database.property("ep") == "bbbbbbbb"
    assert [row.context.epoch for row in database.rows("telemetry/a", 1, 9, 9)] == ["aaaaaaaa"] * 3 + ["bbbbbbbb"] * 2
    assert database.accounts["event/a"].span("bbbbbbbb") == (3, 3)
    committed(database, *readings("event/a", 1))
    assert [row.context.epoch for row in database.rows("event/a", 1, 9, 9)] == ["aaaaaaaa"] * 2 + ["bbbbbbbb"]
    database.close()


def test_the_newest_trusted_time_is_found(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    assert database.newest_ms() == 0
    never_set = Reading("telemetry/b", Stamp(NOW.t + 10**12, 1, 0), "mh000000", b"\x80")
    committed(database, *readings("telemetry/a", 3), never_set)
    assert database.newest_ms() == NOW.t + 2
    committed(database, *readings("telemetry/a", 2, t=NOW.t - 3_600_000))
    assert database.newest_ms() == NOW.t + 2, "the newest time, not that of the last row"
    database.close()


def test_descriptions_are_kept(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    database.describe("5e2190ab", b"{}")
    database.describe("5e2190ab", b"{}")
    assert database.description("5e2190ab") == b"{}"
    assert database.description("00000000") == b""
    database.close()


def test_a_second_process_s_store_is_refused(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    with pytest.raises(StoreBusy):
        opened(tmp_path / "store.db")
    database.close()


@pytest.mark.parametrize("content", [b"\0" * 8192, b"no database at all, but long enough to be read as one" * 40])
def test_a_file_that_is_no_store_is_told_apart(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreBroken):
        opened(path)


def test_the_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    opened(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreNewer):
        opened(path)
    assert path.read_bytes() == before


def test_commits_are_synced_to_the_disk(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    asked = {
        name: database.tables.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "locking_mode")
    }
    assert asked == {"synchronous": 2, "journal_mode": "wal", "locking_mode": "exclusive"}
    database.close()


def test_a_commit_that_fails_takes_back_new_streams_contexts_and_properties(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    unusable = Reading("telemetry/b", Stamp(1, 1, 1), "mh111111", None)  # type: ignore[arg-type]
    commit = Commit([*readings("telemetry/a", 1), unusable], NOW, "", properties={"x": "1"})
    with pytest.raises(StoreError):
        database.commit(commit)
    assert (commit.assigned, database.accounts, database.ids, database.property("x")) == ({}, {}, {}, "")
    assert committed(database, *readings("telemetry/b", 1)).assigned == {"telemetry/b": (1, 2)}
    assert database.ids == {"telemetry/b": 1}
    committed(database, *readings("telemetry/a", 1))
    assert database.ids == {"telemetry/b": 1, "telemetry/a": 2}
    assert [row.context.meta_hash for row in database.rows("telemetry/a", 1, 9, 9)] == ["mh000000"]
    database.close()
    assert opened(tmp_path / "store.db").ids == {"telemetry/b": 1, "telemetry/a": 2}


def test_what_is_remembered_is_there_after_a_restart(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    database.commit(Commit([], NOW, "", properties={"x": "1"}, descriptions={"mh": b"{}"}))
    database.set_property("y", "2")
    database.close()
    database = opened(tmp_path / "store.db")
    assert (database.property("x"), database.property("y"), database.property("z")) == ("1", "2", "")
    assert database.descriptions() == {"mh": b"{}"}
    database.close()


def test_a_file_is_as_large_as_its_bound_allows_and_no_larger() -> None:
    small, large = FileSize.within(1 << 16, Path("x")), FileSize.within(1 << 28, Path("x"))
    assert (small.wal_pages, large.wal_pages) == (32, 1000)
    assert FileSize.within(1 << 20, Path("x")) == FileSize(1024 - 4 * 64, 64)
    assert FileSize.within(1 << 20, MEMORY).limit_pages == 1024
    assert FileSize(1, 64).wal_bytes == 64 * 1048 + 32


def test_one_s_own_events_go_last_and_never_one_alone(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db", max_bytes=1 << 18)
    shed = []
    for _ in range(30):
        shed += committed(database, *readings("event/_agent", 60, size=100), *readings("event/door-1", 20)).shed
    names = [name for name, _, _ in shed]
    assert names.index("event/_agent") > names.index("event/door-1")
    assert all(stop - start > 1 for name, start, stop in shed if name == "event/_agent")
    database.close()
