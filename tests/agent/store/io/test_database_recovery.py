"""The store's file in hard times: rows taken over, rescued, altered, of an older release, on a full disk."""

import sqlite3
from pathlib import Path

import pytest

from agent.store.io.database import MEMORY, Commit, Database, StoreBroken, StoreError, StoreFull
from tests.agent.store.io.test_database import NOW, committed, opened, readings


def test_rows_of_another_database_are_taken_over_with_their_accounts(tmp_path: Path) -> None:
    memory = Database(MEMORY, 1 << 20, "b0070000", "cccccccc")
    committed(memory, *readings("telemetry/a", 5), settled=[("telemetry/a", 1, 2)])
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 1))
    rows = memory.rows("telemetry/a", 2, 6, 99)
    database.import_state(
        memory.accounts, [("telemetry/a", rows)], {"ep": "cccccccc"}, {"mh": b"{}"}, Commit([], NOW, "")
    )
    database.close()
    database = opened(tmp_path / "store.db")
    assert database.property("ep") == "cccccccc"
    assert database.rows("telemetry/a", 2, 9, 9) == rows
    assert database.accounts["telemetry/a"].next == 6
    assert committed(database, *readings("telemetry/a", 1)).assigned == {"telemetry/a": (6, 7)}
    database.close()


def test_rescued_rows_are_put_back_as_far_as_they_are_owed(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 4))
    rows = database.rows("telemetry/a", 1, 9, 9)
    other = opened(tmp_path / "other.db")
    account = database.accounts["telemetry/a"].copy()
    account.settled.add(1, 2)
    account.gone.add(1, 2)
    account.hold(5)
    other.put_account("telemetry/a", account)
    assert other.restore_rescued([("telemetry/a", row) for row in rows[:3]], Commit([], NOW, "")) == 2
    assert [row.seq for row in other.rows("telemetry/a", 1, 9, 9)] == [2, 3]
    assert list(other.accounts["telemetry/a"].held) == [(4, 5)]
    other.give_up(Commit(readings("event/_agent", 1), NOW, ""), [("telemetry/a", 4, 5)])
    account = other.accounts["telemetry/a"]
    assert (list(account.held), list(account.gone), account.low_water("aaaaaaaa")) == ([], [(1, 2), (4, 5)], 2)
    assert len(other.rows("event/_agent", 1, 9, 9)) == 1
    other.close()
    other = opened(tmp_path / "other.db")
    assert list(other.accounts["telemetry/a"].gone) == [(1, 2), (4, 5)]
    assert other.accounts["event/_agent"].next == 2
    other.close()
    database.close()


def test_a_cramped_file_does_not_grow_and_takes_rows_for_delivered_ones(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = opened(path)
    committed(database, *readings("telemetry/a", 2000, size=100))
    committed(database, settled=[("telemetry/a", 1, 2001)])
    database.cap_size()
    assert database.capped
    size = path.stat().st_size
    for _ in range(20):
        assert committed(database, *readings("telemetry/b", 50, size=100)).shed == []
    assert path.stat().st_size <= size
    assert len(database.rows("telemetry/b", 1, 9999, 9999)) == 1000
    database.uncap_size()
    assert not database.capped
    database.close()


def test_a_small_cramped_file_gives_up_nothing_undelivered(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 500, size=100))
    database.cap_size()
    with pytest.raises(StoreFull):
        committed(database, *readings("telemetry/b", 2500, size=100))
    assert database.accounts["telemetry/a"].unsettled() == 500
    database.close()


def test_a_row_that_was_altered_on_the_disk_is_damage(tmp_path: Path) -> None:
    database = opened(tmp_path / "store.db")
    committed(database, *readings("telemetry/a", 2))
    database.tables.connection.execute("UPDATE reading SET t = t + 1 WHERE key & 1")
    with pytest.raises(StoreBroken):
        database.rows("telemetry/a", 1, 9, 9)
    assert len(database.rows("telemetry/a", 2, 9, 9)) == 1
    database.close()


def test_a_file_of_the_first_schema_is_read_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = opened(path)
    committed(database, *readings("telemetry/a", 2))
    database.close()
    connection = sqlite3.connect(path)
    connection.executescript("ALTER TABLE reading DROP COLUMN crc; PRAGMA user_version = 1")
    connection.close()
    older = Database(path, 1 << 24, "b0070000", "", read_only=True)
    assert [row.seq for row in older.rows("telemetry/a", 1, 9, 9)] == [1, 2]
    older.close()
    database = opened(path)
    committed(database, *readings("telemetry/a", 1))
    assert [row.seq for row in database.rows("telemetry/a", 1, 9, 9)] == [1, 2, 3]
    database.close()


def test_a_file_that_is_only_read_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    opened(path).close()
    before = path.read_bytes()
    database = Database(path, 1 << 24, "b0070000", "bbbbbbbb", read_only=True)
    assert database.property("ep") == "aaaaaaaa"
    with pytest.raises(StoreError):
        committed(database, *readings("telemetry/a", 1))
    database.close()
    assert path.read_bytes() == before
