"""A store is read page by page as SQLite reads it, and further where SQLite gives up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.base.reading import Context
from agent.store.format.row_key import SEQ_BITS, SEQ_MASK
from agent.store.format.sqlite_records import Unreadable, record
from agent.store.io.database import Commit, Database
from agent.store.io.rescue.damaged_tables import DamagedTables
from agent.store.io.rescue.rescue_child import whole_rows
from agent.store.io.rescue.salvage import salvage_state
from agent.store.io.rescue.sqlite_pages import Pages
from tests.agent.store.store_fakes import DOOR, NOW, A, reading


def filled(path: Path, *, closed: bool = True, size: int = 3) -> Database:
    database = Database(path, 1 << 24, "b0070000", "aaaaaaaa")
    long = [reading(A) for _ in range(200)]
    database.commit(Commit([*long, reading(DOOR)], NOW, "", descriptions={"mh": b"x" * size}, properties={"k": "v"}))
    database.commit(Commit([], NOW, "", [(A, 1, 50)]))
    if closed:
        database.close()
    return database


@contextmanager
def remains(path: Path) -> Iterator[DamagedTables]:
    pages = Pages(path, path.with_name(path.name + "-wal"))
    try:
        yield DamagedTables(pages)
    finally:
        pages.close()


def count_rows(path: Path) -> int:
    with remains(path) as found:
        return len(list(found.rows()))


def test_everything_is_found_that_sqlite_has(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = filled(path, size=5000)
    with remains(path) as found:
        assert found.trusted()
        assert found.properties() == {"ep": "aaaaaaaa", "boot": "b0070000", "k": "v"}
        assert found.descriptions() == {"mh": b"x" * 5000}, "on pages of its own"
        assert found.stream_names() == {number: name for name, number in database.ids.items()}
        assert found.streams()[A] == (201, "1:aaaaaaaa", "1-50", "")
        assert found.contexts() == {1: Context("aaaaaaaa", "b0070000", 1, "mh000000")}
        rows = list(found.rows())
    number = database.ids[A]
    assert [key & SEQ_MASK for key, *_ in rows if key >> SEQ_BITS == number] == list(range(1, 201))


def test_what_is_only_in_the_log_is_found_as_well(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = filled(path, closed=False)
    assert count_rows(path) == 201
    database.close()


def test_a_torn_end_of_the_log_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = filled(path, closed=False)
    database.tables.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.commit(Commit([reading(A)], NOW, ""))
    whole = (tmp_path / "store.db-wal").read_bytes()
    end = len(whole.rstrip(b"\0"))
    counts = []
    for cut in (end, end - 40):
        copy = tmp_path / f"cut{cut}.db"
        copy.write_bytes(path.read_bytes())
        (tmp_path / f"cut{cut}.db-wal").write_bytes(whole[:cut] + bytes(len(whole) - cut))
        counts.append(count_rows(copy))
    assert counts == [202, 201]
    database.close()


def test_the_rescue_gives_what_is_not_known_to_be_settled_with_its_names(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    rows = [row for group in whole_rows(path, tmp_path / "none", {}) for row in group]
    assert [number for stream, number, *_ in rows if stream == A] == list(range(50, 201))
    assert [row[2] for row in rows if row[0] == DOOR] == [("aaaaaaaa", "b0070000", 1, "mh000000")]
    assert [group for group in whole_rows(path, tmp_path / "none", {1: "telemetry/other"}) if group[0][0] == A] == []


def test_a_file_says_of_itself_what_is_needed_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    known = salvage_state(path, tmp_path / "none")
    assert known.whole
    assert known.accounts[A].next == 201
    assert dict(known.ids) == {A: 1, DOOR: 2}
    assert salvage_state(tmp_path / "missing", tmp_path / "none").accounts == {}


def test_without_the_page_of_its_accounts_a_file_does_not_know_all(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    with path.open("r+b") as stream:
        stream.seek(2 * 1024)
        stream.write(bytes(1024))
    known = salvage_state(path, tmp_path / "none")
    assert not known.whole
    assert dict(known.ids) == {A: 1, DOOR: 2}, "the index still has the names"
    assert known.properties["ep"] == "aaaaaaaa"
    assert len([row for group in whole_rows(path, tmp_path / "none", {}) for row in group]) == 201


@settings(max_examples=100)
@given(st.binary(min_size=64, max_size=64), st.integers(0, 63), st.sampled_from([0x0D, 0x0A, 0x02, 0x05]))
def test_any_bytes_are_a_record_or_unreadable(page: bytes, at: int, kind: int) -> None:
    try:
        key, columns = record(page, at, kind, lambda number: page)
    except (Unreadable, IndexError, ValueError):
        return
    assert isinstance(key, int)
    assert all(column is None or isinstance(column, int | str | bytes) for column in columns)
