"""The store as the services use it: appends never wait, commits come in groups, numbers come back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgpack
import pytest

from agent.core.reading import Fresh, Reading, Stamp
from agent.core.store_limits import StoreLimits
from agent.edges.store import Store
from tests.support.mosquitto import until

NOW = Stamp(1_795_000_000_000, 5_000, 1)


async def opened(
    path: Path, commit_s: float = 0.0, max_bytes: int = 1 << 24, board: str = "", limits: StoreLimits | None = None
) -> Store:
    return await Store.open(path, max_bytes, commit_s, "b0070000", board, lambda: NOW, limits=limits)


def reading(stream: str = "telemetry/a", urgent: bool = False, **fields: object) -> Reading:
    return Reading(stream, NOW, "mh000000", msgpack.packb(fields), urgent)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await opened(tmp_path / "store.db")
    yield store
    await store.close(5.0)


async def test_what_was_appended_is_durable_after_flush_and_can_be_read(store: Store) -> None:
    for number in range(5):
        store.append(reading(n=number))
    await store.flush()
    (rows,) = await store.read([("telemetry/a", 1, 9, 9)])
    assert [(row.seq, msgpack.unpackb(row.body)["n"]) for row in rows] == [(n + 1, n) for n in range(5)]
    assert store.accounts["telemetry/a"].next == 6
    assert store.unsettled() == 5


async def test_the_uplink_is_told_what_a_commit_brought(store: Store) -> None:
    told: list[Mapping[str, Fresh]] = []
    store.on_commit = told.append
    store.append(reading())
    store.append(reading("event/a", urgent=True))
    store.append(reading())
    await store.flush()
    assert told == [{"telemetry/a": Fresh(1, 3, NOW.mono_ms, False), "event/a": Fresh(1, 2, NOW.mono_ms, True)}]


async def test_readings_wait_for_a_group_but_urgent_ones_do_not(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0)
    store.append(reading(n=1))
    await store.probe()
    assert store.accounts == {}
    store.append(reading(n=2, urgent=True))
    await until(lambda: "telemetry/a" in store.accounts)
    assert store.accounts["telemetry/a"].next == 3, "the urgent one takes the waiting one along"
    await store.close(5.0)


async def test_close_makes_durable_what_waits_and_what_was_settled(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0)
    store.append(reading(urgent=True))
    await until(lambda: "telemetry/a" in store.accounts)
    store.append(reading())
    store.settle("telemetry/a", 1, 2)
    assert await store.close(5.0)
    store = await opened(tmp_path / "store.db")
    account = store.accounts["telemetry/a"]
    assert (account.next, list(account.settled)) == (3, [(1, 2)])
    await store.close(5.0)


async def test_the_file_is_let_go_of_on_close(tmp_path: Path) -> None:
    first = await opened(tmp_path / "store.db")
    second = await opened(tmp_path / "store.db")
    assert not second.durable, "another program has the file: numbers are given in memory"
    await second.close(5.0)
    await first.close(5.0)
    third = await opened(tmp_path / "store.db")
    assert third.durable
    await third.close(5.0)


async def test_a_damaged_file_is_set_aside_and_a_new_store_begins(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"\0" * 8192)
    store = await opened(path)
    await store.flush()
    (events,) = await store.read([("event/_agent", 1, 1 << 43, 9)])
    assert [msgpack.unpackb(row.body)["ev"] for row in events] == ["store_reset"]
    assert (tmp_path / "store.db.broken-b0070000").read_bytes() == b"\0" * 8192
    await store.close(5.0)


async def test_a_card_moved_to_another_computer_begins_a_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await opened(path, board="1000")
    ep = store.ep
    await store.close(5.0)
    store = await opened(path, board="1000")
    assert store.ep == ep
    await store.close(5.0)
    store = await opened(path, board="2000")
    assert store.ep != ep
    await store.flush()
    (events,) = await store.read([("event/_agent", 1, 9, 9)])
    assert [msgpack.unpackb(row.body)["why"] for row in events] == ["other_board"]
    await store.close(5.0)


async def test_a_new_epoch_counts_what_was_given_since_the_store_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await opened(path)
    store.append(reading())
    await store.close(5.0)
    store = await opened(path)
    before = store.ep
    store.append(reading())
    store.append(reading("telemetry/new"))
    await store.flush()
    await store.begin_epoch("behind_broker")
    await store.flush()
    (rows, new) = await store.read([("telemetry/a", 1, 9, 9), ("telemetry/new", 1, 9, 9)])
    assert [row.context.ep for row in rows] == [before, store.ep]
    assert [row.context.ep for row in new] == [store.ep]
    assert store.accounts["telemetry/a"].span(store.ep) == (2, 3)
    await store.close(5.0)


async def test_while_the_disk_takes_nothing_numbers_are_given_in_memory_and_kept_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(tmp_path / "store.db")
    store.append(reading(n=-1))
    await store.flush()
    before = store.ep
    await fill_up(store)
    for number in range(500):
        store.append(reading(n=number, text="x" * 100))
    await until(lambda: "holding readings in memory" in caplog.text)
    store.hurry()
    await store.flush()
    assert not store.durable
    assert store.ep != before
    (rows,) = await store.read([("telemetry/a", 1, 9999, 9999)])
    assert [(row.seq, msgpack.unpackb(row.body)["n"]) for row in rows] == [(n + 2, n) for n in range(-1, 500)]
    assert store.accounts["telemetry/a"].before() == [(before, 2)]
    ep = store.ep
    store.settle("telemetry/a", 1, 100)
    await fill_up(store, pages=1_000_000)
    await until(lambda: store.durable)
    assert store.ep == ep
    await until(lambda: "can be written again" in caplog.text)
    assert caplog.text.count("holding readings in memory") == 1
    assert await store.close(5.0)
    store = await opened(tmp_path / "store.db")
    (rows,) = await store.read([("telemetry/a", 100, 9999, 9999)])
    assert [(row.seq, row.context.ep) for row in rows] == [(number, ep) for number in range(100, 502)]
    assert list(store.accounts["telemetry/a"].settled) == [(1, 100)]
    await store.close(5.0)


async def fill_up(store: Store, pages: int = 1) -> None:
    """Let the store's file grow no further (SQLite raises the number to what is there already)."""

    def bound() -> None:
        disk = store._backend.disk
        assert disk is not None
        disk.tables.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        # The real disk has room: what looks after it must not find that out.
        disk.cramp = disk.relax = (lambda: None) if pages == 1 else disk.cramp  # type: ignore[method-assign]

    await store._worker.call(bound)


async def test_what_memory_cannot_hold_is_dropped_from_the_oldest_and_counted(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0, limits=StoreLimits(max_pending=10))
    for number in range(15):
        store.append(reading(n=number))
    await store.flush()
    await store.flush()
    rows, events = await store.read([("telemetry/a", 1, 99, 99), ("event/_agent", 1, 99, 99)])
    assert [msgpack.unpackb(row.body)["n"] for row in rows] == list(range(5, 15))
    assert [row.seq for row in rows] == list(range(1, 11)), "what never had a number leaves no hole"
    (event,) = [msgpack.unpackb(row.body) for row in events]
    assert (event["n"], event["why"], "from" in event) == (5, "memory", False)
    await store.close(5.0)


async def test_close_does_not_wait_for_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db")
    await fill_up(store)
    for _ in range(500):
        store.append(reading(text="x" * 100))
    began_s = asyncio.get_running_loop().time()
    assert not await store.close(0.3)
    assert store.left > 490
    assert asyncio.get_running_loop().time() - began_s < 2.0


async def test_what_is_remembered_survives_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0)
    assert store.recall("count.rain-1") == ""
    store.remember("count.rain-1", "41")
    store.remember("count.rain-1", "42")
    assert store.recall("count.rain-1") == "42"
    await store.close(5.0)
    store = await opened(tmp_path / "store.db")
    assert store.recall("count.rain-1") == "42"
    await store.close(5.0)


async def test_settled_ranges_are_durable_without_a_commit_of_readings(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", limits=StoreLimits(settle_s=0.01))
    store.append(reading())
    await store.flush()
    store.settle("telemetry/a", 1, 2)
    disk = store._backend.disk
    assert disk is not None
    await until(lambda: disk.accounts["telemetry/a"].unsettled() == 0)
    await store.close(5.0)


async def test_rows_that_a_full_store_gives_up_are_settled_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(tmp_path / "store.db", max_bytes=1 << 18)
    told: list[Mapping[str, Fresh]] = []
    store.on_commit = told.append
    for _ in range(40):
        for _ in range(50):
            store.append(reading(text="x" * 100))
        await store.flush()
    account = store.accounts["telemetry/a"]
    (first, stop), *_ = account.gone
    assert first == 1
    assert f"{256} undelivered rows of telemetry/a were given up" in caplog.text
    assert list(account.settled) == list(account.gone) == [(1, stop)]
    assert store.accounts["event/_agent"].next > 1
    assert any(fresh["event/_agent"].urgent for fresh in told if "event/_agent" in fresh)
    await store.close(5.0)


async def test_a_store_of_an_unknown_board_keeps_its_epoch(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    eps = set()
    for board in ("", "1000", "", "1000"):
        store = await opened(path, board=board)
        eps.add(store.ep)
        assert store.accounts == {}, "nothing is told"
        await store.close(5.0)
    assert len(eps) == 1


async def test_what_the_run_before_left_or_lost_is_told_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await opened(path)
    store.append(reading())
    await store.close(5.0)
    path.unlink()
    store = await opened(path)
    await store.flush()
    (events,) = await store.read([("event/_agent", 1, 9, 9)])
    bodies = [msgpack.unpackb(row.body) for row in events]
    assert [(body["ev"], body["why"]) for body in bodies] == [("store_reset", "missing"), ("rows_lost", "corrupt")]
    assert (bodies[1]["stream"], bodies[1]["n"]) == ("telemetry/a", 1)
    await store.close(5.0)


async def test_a_description_is_known_at_once_and_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0)
    await store.describe("5e2190ab", b"{}")
    assert store.mh == "5e2190ab"
    assert await store.description("5e2190ab") == b"{}"
    await store.close(5.0)
    store = await opened(tmp_path / "store.db")
    assert await store.description("5e2190ab") == b"{}"
    assert await store.description("00000000") == b""
    assert await store.newest_ms() == 0
    await store.close(5.0)


async def test_what_waits_counts_as_unsettled(store: Store) -> None:
    store.append(reading())
    assert store.unsettled() == 1
    await store.flush()
    store.append(reading())
    assert store.unsettled() == 2
    store.settle("telemetry/a", 1, 2)
    assert store.unsettled() == 1
    assert store.accounts["telemetry/a"].lo(store.ep) == 2
