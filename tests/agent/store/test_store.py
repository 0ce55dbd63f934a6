"""The store as the services use it: appends never wait, commits come in groups, numbers come back."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgpack
import pytest

from agent.base.reading import CommittedRange, Reading, Stamp
from agent.store.limits import StoreLimits
from agent.store.store import Store
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


async def fill_up(store: Store, pages: int = 1) -> None:
    """Let the store's file grow no further (SQLite raises the number to what is there already)."""

    def bound() -> None:
        disk = store._backend.disk
        assert disk is not None
        disk.tables.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        # The real disk has room: what looks after it must not find that out.
        disk.cap_size = disk.uncap_size = (lambda: None) if pages == 1 else disk.cap_size  # type: ignore[method-assign]

    await store._worker.call(bound)


async def test_what_was_appended_is_durable_after_flush_and_can_be_read(store: Store) -> None:
    for number in range(5):
        store.append(reading(n=number))
    await store.flush()
    (rows,) = await store.read([("telemetry/a", 1, 9, 9)])
    assert [(row.seq, msgpack.unpackb(row.body)["n"]) for row in rows] == [(n + 1, n) for n in range(5)]
    assert store.accounts["telemetry/a"].next == 6
    assert store.unsettled() == 5


async def test_the_uplink_is_told_what_a_commit_brought(store: Store) -> None:
    told: list[Mapping[str, CommittedRange]] = []
    store.on_commit = told.append
    store.append(reading())
    store.append(reading("event/a", urgent=True))
    store.append(reading())
    await store.flush()
    assert told == [
        {"telemetry/a": CommittedRange(1, 3, NOW.mono_ms, False), "event/a": CommittedRange(1, 2, NOW.mono_ms, True)}
    ]


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
    told: list[Mapping[str, CommittedRange]] = []
    store.on_commit = told.append
    for _ in range(40):
        for _ in range(50):
            store.append(reading(text="x" * 100))
        await store.flush()
    account = store.accounts["telemetry/a"]
    (first, stop), *_ = account.gone
    assert first == 1
    assert "dropped 256 undelivered rows of telemetry/a" in caplog.text
    assert list(account.settled) == list(account.gone) == [(1, stop)]
    assert store.accounts["event/_agent"].next > 1
    assert any(fresh["event/_agent"].urgent for fresh in told if "event/_agent" in fresh)
    await store.close(5.0)


async def test_what_waits_counts_as_unsettled(store: Store) -> None:
    store.append(reading())
    assert store.unsettled() == 1
    await store.flush()
    store.append(reading())
    assert store.unsettled() == 2
    store.settle("telemetry/a", 1, 2)
    assert store.unsettled() == 1
    assert store.accounts["telemetry/a"].low_water(store.epoch) == 2
