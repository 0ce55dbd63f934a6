"""A store over restarts, damage, other computers, and disks that take nothing."""

import asyncio
from pathlib import Path

import msgpack
import pytest

from agent.store.limits import StoreLimits
from tests.agent.store.test_store import fill_up, opened, reading
from tests.support.mosquitto import until


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
    epoch = store.epoch
    await store.close(5.0)
    store = await opened(path, board="1000")
    assert store.epoch == epoch
    await store.close(5.0)
    store = await opened(path, board="2000")
    assert store.epoch != epoch
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
    before = store.epoch
    store.append(reading())
    store.append(reading("telemetry/new"))
    await store.flush()
    await store.begin_epoch("behind_broker")
    await store.flush()
    (rows, new) = await store.read([("telemetry/a", 1, 9, 9), ("telemetry/new", 1, 9, 9)])
    assert [row.context.epoch for row in rows] == [before, store.epoch]
    assert [row.context.epoch for row in new] == [store.epoch]
    assert store.accounts["telemetry/a"].span(store.epoch) == (2, 3)
    await store.close(5.0)


async def test_while_the_disk_takes_nothing_numbers_are_given_in_memory_and_kept_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await opened(tmp_path / "store.db", limits=StoreLimits(failure_grace_s=0.1, probe_s=0.1, upkeep_s=0.1))
    store.append(reading(n=-1))
    await store.flush()
    before = store.epoch
    await fill_up(store)
    for number in range(500):
        store.append(reading(n=number, text="x" * 100))
    await until(lambda: "holding readings in memory" in caplog.text)
    store.skip_disk_grace()
    await store.flush()
    assert not store.durable
    assert store.epoch != before
    (rows,) = await store.read([("telemetry/a", 1, 9999, 9999)])
    assert [(row.seq, msgpack.unpackb(row.body)["n"]) for row in rows] == [(n + 2, n) for n in range(-1, 500)]
    assert store.accounts["telemetry/a"].ended_epochs() == [(before, 2)]
    epoch = store.epoch
    store.settle("telemetry/a", 1, 100)
    await fill_up(store, pages=1_000_000)
    await until(lambda: store.durable)
    assert store.epoch == epoch
    await until(lambda: "can be written again" in caplog.text)
    assert caplog.text.count("holding readings in memory") == 1
    assert await store.close(5.0)
    store = await opened(tmp_path / "store.db")
    (rows,) = await store.read([("telemetry/a", 100, 9999, 9999)])
    assert [(row.seq, row.context.epoch) for row in rows] == [(number, epoch) for number in range(100, 502)]
    assert list(store.accounts["telemetry/a"].settled) == [(1, 100)]
    await store.close(5.0)


async def test_close_does_not_wait_for_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db")
    await fill_up(store)
    for _ in range(500):
        store.append(reading(text="x" * 100))
    began_s = asyncio.get_running_loop().time()
    assert not await store.close(2.0)
    assert store.unwritten > 490
    assert asyncio.get_running_loop().time() - began_s < 4.5


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


async def test_a_store_of_an_unknown_board_keeps_its_epoch(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    eps = set()
    for board in ("", "1000", "", "1000"):
        store = await opened(path, board=board)
        eps.add(store.epoch)
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
    assert [(body["ev"], body["why"]) for body in bodies] == [("rows_lost", "corrupt"), ("store_reset", "missing")]
    assert (bodies[0]["stream"], bodies[0]["n"]) == ("telemetry/a", 1)
    await store.close(5.0)


async def test_rows_that_were_only_in_memory_at_the_end_are_told_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await opened(path)
    await fill_up(store)
    store.skip_disk_grace()
    for _ in range(500):
        store.append(reading(text="x" * 100))
    await store.flush()
    assert not await store.close(5.0)
    store = await opened(path)
    await store.flush()
    (events,) = await store.read([("event/_agent", 1, 1 << 43, 99)])
    lost = [msgpack.unpackb(row.body) for row in events if b"rows_lost" in row.body]
    assert {(body["why"], body["stream"], body["n"]) for body in lost if body["stream"] == "telemetry/a"} == {
        ("memory", "telemetry/a", 500)
    }
    await store.close(5.0)


async def test_a_description_is_known_at_once_and_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0)
    await store.describe("5e2190ab", b"{}")
    assert store.meta_hash == "5e2190ab"
    assert await store.description("5e2190ab") == b"{}"
    await store.close(5.0)
    store = await opened(tmp_path / "store.db")
    assert await store.description("5e2190ab") == b"{}"
    assert await store.description("00000000") == b""
    assert await store.newest_ms() == 0
    await store.close(5.0)
