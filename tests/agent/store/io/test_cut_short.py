"""Steps of several writes that a power cut or a kill ended in between. (tests/crashes cuts at every operation.)"""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.io.database import Database
from agent.store.io.errors import StoreBroken
from tests.agent.store.io.test_backend import Bench
from tests.agent.store.store_fakes import A


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state")
    yield bench
    bench.backend.close()


def copied(bench: Bench, folder: Path) -> Bench:
    """What a kill now would leave, in a directory of its own."""
    shutil.copytree(bench.path.parent, folder / "copy")
    copy = object.__new__(Bench)
    copy.path, copy.now_ms = folder / "copy" / "store.db", bench.now_ms
    return copy


def damaged(bench: Bench) -> None:
    """Close the store and destroy its header."""
    bench.backend.close()
    with bench.path.open("r+b") as stream:
        stream.write(bytes(100))


@pytest.mark.parametrize("log", ["with its log", "without its log"])
def test_a_file_set_aside_for_which_no_store_was_started_is_rescued(bench: Bench, log: str) -> None:
    bench.commit(3)
    epoch = bench.backend.active.property("ep")
    damaged(bench)
    aside = bench.backend._files.set_aside()
    if log == "without its log":  # the power was cut before it was renamed
        aside.with_name(aside.name + "-wal").unlink(missing_ok=True)
        bench.path.with_name("store.db-wal").touch()
    bench.opened()
    assert [found.file for found in bench.backend.rescues] == [aside.name]
    assert bench.backend.active.property("ep") != epoch
    assert bench.losses() == []
    assert bench.commit().assigned == {A: (4, 5)}
    assert list(bench.backend.active.accounts[A].held) == [(1, 4)]
    bench.backend.close()
    bench.opened()
    assert [found.file for found in bench.backend.rescues] == [aside.name], "it is listed once"


def test_a_file_set_aside_is_not_taken_up_again_once_a_store_lists_it(bench: Bench) -> None:
    bench.commit(3)
    damaged(bench)
    bench.opened()
    bench.backend.end_rescue()
    bench.backend.close()
    bench.opened()
    assert bench.backend.rescues == []
    assert bench.changes() == []


def test_a_return_to_the_disk_that_was_cut_short_is_counted_as_lost(bench: Bench, tmp_path: Path) -> None:
    bench.commit()
    bench.into_memory()
    epoch = bench.backend.active.property("ep")
    disk = bench.backend.disk
    assert disk is not None
    insert = disk.tables.insert_numbered
    copies: list[Bench] = []

    def cut(*arguments: object) -> None:
        if not copies:
            copies.append(copied(bench, tmp_path))
        insert(*arguments)  # type: ignore[arg-type]

    disk.tables.insert_numbered = cut  # type: ignore[method-assign,assignment]
    disk.tables.connection.execute("PRAGMA max_page_count = 1073741823").fetchall()
    bench.now_ms += 2000
    bench.backend.upkeep()
    assert bench.backend.durable
    (copy,) = copies
    copy.opened()
    assert copy.losses() == [(A, epoch, 2, 502)]
    assert copy.numbers() == [1]
    assert ("reset", "damaged") not in copy.changes()
    assert copy.commit().assigned == {A: (502, 503)}
    copy.backend.close()
    copy.opened()
    assert copy.losses() == [(A, epoch, 2, 502)], "once"
    copy.backend.close()


def test_rows_wait_for_the_rescue_although_another_epoch_has_begun(bench: Bench) -> None:
    bench.commit(3)
    damaged(bench)
    bench.opened()
    shutil.copytree(bench.path.parent, bench.path.parent.parent / "cut")
    bench.path = bench.path.parent.parent / "cut" / "store.db"
    bench.backend.close()
    bench.opened("b0070009")
    assert ("reset", "unclean_reboot") in bench.changes()
    bench.commit()
    assert list(bench.backend.active.accounts[A].held) == [(1, 4)]
    assert [rows[2:] for rows in bench.backend.end_rescue()] == [(1, 4)]


def test_the_epoch_of_a_new_file_is_not_continued_in_another_boot(tmp_path: Path) -> None:
    first = Database(tmp_path / "store.db", 1 << 24, "b0070001", "aaaaaaaa")
    assert (first.property("ep"), first.property("boot")) == ("aaaaaaaa", "b0070001")
    first.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reading SET crc = NULL WHERE key & 3 = 1",
        "UPDATE reading SET body = zeroblob(9) WHERE key & 3 = 1",
        "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql = replace(sql, 't INTEGER NOT NULL', 't INTEGER');"
        "UPDATE reading SET t = NULL",
    ],
)
def test_a_row_of_a_half_written_page_is_not_taken_for_a_row(bench: Bench, statement: str) -> None:
    bench.commit(3)
    bench.backend.close()
    for script in statement.split(";U"):
        connection = sqlite3.connect(bench.path)
        connection.executescript(script if script == statement or script.startswith("PRAGMA") else f"U{script}")
        connection.close()
    database = Database(bench.path, 1 << 24, "b0070000", "")
    with pytest.raises(StoreBroken):
        database.rows(A, 1, 9, 9)
    database.close()


@pytest.mark.parametrize("column", ["name", "value"])
def test_a_property_that_is_no_text_is_damage(bench: Bench, column: str) -> None:
    bench.backend.close()
    connection = sqlite3.connect(bench.path)
    connection.execute(f"UPDATE property SET {column} = x'00' WHERE name = 'clean'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreBroken):
        Database(bench.path, 1 << 24, "b0070000", "")
    bench.opened()
    assert ("reset", "damaged") in bench.changes()
