"""Readings keep flowing whatever the disk does: they arrive, or are counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import pytest

from agent.base.reading import Reading, Stamp
from agent.store.limits import StoreLimits
from agent.store.store import Store
from tests.outside.disk_faults import SmallDisk, delete_folder, delete_store
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

NOW = Stamp(1_795_000_000_000, 5_000, 1)
LOAD = "telemetry/load"


async def opened(
    path: Path, commit_s: float = 0.0, boot_id: str = "b0070000", board: str = "", limits: StoreLimits | None = None
) -> Store:
    """A store of this computer."""
    return await Store.open(path, 1 << 24, commit_s, boot_id, board, lambda: NOW, limits=limits)


def reading(stream: str = "telemetry/a", **fields: object) -> Reading:
    return Reading(stream, NOW, "mh000000", msgpack.packb(fields))


def text(url: str) -> str:
    return configuration(url, [sensor("load", "system", more="interval_s = 0.1")], "max_delay_s = 0.1", commit_s=0.1)


def pid(agent: AgentProcess) -> int:
    assert agent._process is not None
    return agent._process.pid


async def more(recorder: Recorder, count: int = 5) -> None:
    """Wait for so many more readings."""
    before = len(recorder.rows(LOAD))
    await until(lambda: len(recorder.rows(LOAD)) >= before + count, 20.0)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[AgentProcess, Recorder]]:
    with Mosquitto(folder) as broker, Recorder(broker.port) as recorder:
        async with AgentProcess(folder, text(broker.url)) as agent:
            await more(recorder, 2)
            yield agent, recorder


async def ended_well(agent: AgentProcess) -> None:
    assert (await agent.stop())[0] == 0
    assert agent.count("Traceback") == 0


async def test_07_what_memory_drops_while_it_tells_of_what_it_dropped_ends_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0, limits=StoreLimits(max_pending=4))
    for number in range(40):
        store.append(reading(f"telemetry/s{number}"))
    # More comes while the thread is at work: what tells of it pushes out what waits.
    store.on_commit = lambda fresh: [store.append(reading(f"telemetry/t{n}")) for n in range(6)] and None  # type: ignore[func-returns-value]
    await asyncio.sleep(0)
    flush = asyncio.create_task(store.flush())
    for number in range(40):
        store.append(reading(f"telemetry/u{number}"))
        await asyncio.sleep(0.005)
    assert not store.task.done()
    store.on_commit = lambda fresh: None
    await flush
    await store.close(5.0)


async def test_20_what_tells_of_losses_is_not_pushed_out_of_memory_itself(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=3600.0, limits=StoreLimits(max_pending=4))
    store.announce({"ev": "rows_lost", "stream": "telemetry/a", "n": 1, "why": "rejected"})
    for number in range(10):
        store.append(reading("telemetry/b", n=number))
    await store.flush()
    (rows,) = await store.read([("event/_agent", 1, 99, 99)])
    lost = {one["stream"]: one["n"] for one in (msgpack.unpackb(row.body) for row in rows)}
    assert lost == {"telemetry/a": 1, "telemetry/b": 7}
    await store.close(5.0)


@pytest.mark.parametrize("how", ["fill", "use_up_inodes", "protect"])
async def test_15_a_disk_that_takes_nothing_stops_no_reading_and_recovers_by_itself(tmp_path: Path, how: str) -> None:
    with SmallDisk(tmp_path / "state") as disk:
        async with running(tmp_path) as (agent, recorder):
            getattr(disk, how)(pid(agent))
            await more(recorder, 50)
            disk.recover(pid(agent))
            await more(recorder)
            if agent.count("holding readings in memory"):
                await agent.told("can be written again", 30.0)
                await until(lambda: recorder.events("store_reset", why="not_durable"))
            await ended_well(agent)
            accepted = agent.accepted()
            assert len([key for key in accepted if key[0].stream == LOAD]) > 0


@pytest.mark.parametrize("how", ["fill", "use_up_inodes", "protect"])
async def test_15_an_agent_starts_on_a_disk_that_takes_nothing(tmp_path: Path, how: str) -> None:
    with (
        SmallDisk(tmp_path / "state") as disk,
        Mosquitto(tmp_path) as broker,
        Recorder(broker.port) as recorder,
    ):
        getattr(disk, how)()
        async with AgentProcess(tmp_path, text(broker.url)) as agent:
            if not disk.mounted:
                getattr(disk, how)(pid(agent))
            await more(recorder, 20)
            disk.recover(pid(agent))
            await more(recorder)
            await ended_well(agent)


async def test_15_delivered_rows_make_room_on_a_full_disk(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "state", 12_000) as disk:
        store = await opened(tmp_path / "state" / "store.db")
        for number in range(4000):
            store.append(reading(n=number, text="x" * 100))
        await store.flush()
        store.settle("telemetry/a", 1, 4001)
        await store.flush()
        disk.fill()
        epoch = store.epoch
        for number in range(4000, 10_000):
            store.append(reading(n=number, text="x" * 100))
            if number % 500 == 0:
                await asyncio.wait_for(store.flush(), 5.0)
                store.settle("telemetry/a", 1, store.accounts["telemetry/a"].next)
        await asyncio.wait_for(store.flush(), 5.0)
        assert store.durable, "what is delivered goes first, so that all that is new is durable"
        assert store.epoch == epoch
        await store.close(5.0)


async def test_17_a_state_directory_that_is_deleted_is_made_again_and_no_row_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as (agent, recorder):
        delete_folder(agent.state)
        await more(recorder)
        await agent.told("deleted or replaced", 30.0)
        await until(lambda: recorder.events("store_reset", why="replaced"))
        await more(recorder)
        await ended_well(agent)
        accepted = {key for key in agent.accepted() if key[0].stream == LOAD}
        assert len(accepted) >= len(recorder.rows(LOAD)), "what was deleted with the file was put back"


async def test_17_a_store_that_is_deleted_underneath_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await opened(path)
    store.append(reading(n=1))
    await store.flush()
    delete_store(path)
    store.append(reading(n=2))
    await store.flush()
    await until(lambda: path.exists(), 20.0)
    store.append(reading(n=3))
    assert await store.close(5.0)
    store = await opened(path)
    (rows,) = await store.read([("telemetry/a", 1, 99, 99)])
    assert [msgpack.unpackb(row.body)["n"] for row in rows] == [1, 2, 3]
    await store.close(5.0)


async def test_18_an_unclean_reboot_begins_a_new_epoch_and_an_unclean_end_within_a_boot_does_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    store = await opened(path)
    store.append(reading(n=1))
    await store.flush()
    first = store.epoch
    await killed(store)
    store = await opened(path)
    assert store.epoch == first
    await killed(store)
    store = await opened(path, boot_id="b0070001")
    assert store.epoch != first
    store.append(reading(n=2))
    await store.flush()
    (rows,) = await store.read([("telemetry/a", 1, 99, 99)])
    assert [(row.seq, row.context.epoch) for row in rows] == [(1, first), (2, store.epoch)]
    assert store.accounts["telemetry/a"].ended_epochs() == [(first, 2)]
    second = store.epoch
    await store.close(5.0)
    store = await opened(path, boot_id="b0070002")
    assert store.epoch == second, "it ended well"
    await store.close(5.0)


async def killed(store: Store) -> None:
    """End it without a word: the mark of a good end stays away."""
    store.task.cancel()
    await asyncio.gather(store.task, return_exceptions=True)
    disk = store._backend.disk
    assert disk is not None
    await store._worker.call(disk.close)


async def test_19_a_reading_is_durable_within_commit_s_whatever_is_settled(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db", commit_s=0.2)
    store.append(reading())
    await store.flush()
    loop = asyncio.get_running_loop()
    store.settle("telemetry/a", 1, 2)
    began_s = loop.time()
    store.append(reading())
    await until(lambda: store.accounts["telemetry/a"].next == 3)
    assert loop.time() - began_s < 2.0
    await store.close(5.0)


async def test_20_what_could_not_be_written_at_a_stop_is_counted_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.mkdir()  # no file can be opened there
    store = await opened(path)
    for number in range(7):
        store.append(reading(n=number))
    await store.flush()
    assert not store.durable
    epoch = store.epoch
    first = store.accounts["telemetry/a"].next - 7
    store.settle("telemetry/a", first, first + 2)
    await store.flush()
    assert not await store.close(5.0)
    assert store.unwritten == 5 + 1, "five readings, and the event of the reset"
    path.rmdir()
    store = await opened(path)
    await store.flush()
    (rows,) = await store.read([("event/_agent", 1, 1 << 43, 99)])
    events = [msgpack.unpackb(row.body) for row in rows]
    lost = [one for one in events if one["ev"] == "rows_lost" and one["stream"] == "telemetry/a"]
    assert [(one["ep"], one["from"], one["to"], one["n"], one["why"]) for one in lost] == [
        (epoch, first + 2, first + 6, 5, "memory")
    ]
    await store.close(5.0)


async def test_20_readings_in_memory_are_published_in_the_goodbye_and_the_rest_is_told(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "state") as disk:
        async with running(tmp_path) as (agent, recorder):
            disk.protect(pid(agent))
            await more(recorder, 10)
            assert (await agent.stop())[0] == 0
            assert recorder.events("stopped"), "even the last event was published"
            assert agent.count("Traceback") == 0
