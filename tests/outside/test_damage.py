"""A damaged store: whatever page it is, the agent goes on, and what can be read arrives."""

import asyncio
import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgpack
import pytest

from agent.base.reading import AGENT, Reading, Stamp, event
from agent.store.io.database import Commit, Database
from agent.store.store import Store
from agent.store.stream_account import StreamAccount
from tests.outside.disk_faults import damage_page, delete_store, page_count
from tests.support.agent_process import AgentProcess, configuration
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

NOW = Stamp(1_795_000_000_000, 5_000, 1)
STREAMS = [f"telemetry/s{number}" for number in range(12)]
Arrived = dict[tuple[str, str, int], Mapping[str, object]]


def reading(stream: str, **fields: object) -> Reading:
    return Reading(stream, NOW, "mh000000", msgpack.packb(fields))


async def opened(path: Path, boot_id: str = "b0070000") -> Store:
    return await Store.open(path, 1 << 24, 0.0, boot_id, "", lambda: NOW)


def filled(path: Path, rows: int = 50) -> None:
    """A store with rows of twelve streams, of which the first fifth is settled; well closed."""
    database = Database(path, 1 << 24, "b0070000", "aaaaaaaa")
    for at in range(0, rows, 10):
        readings = [reading(name, n=number, text="x" * 60) for name in STREAMS for number in range(at, at + 10)]
        database.commit(Commit(readings, NOW, "mh000000"))
    settled = [(name, 1, rows // 5 + 1) for name in STREAMS]
    database.commit(Commit([], NOW, "", settled, {"counter": "42"}))
    database.set_property("boot", "b0070000")
    database.close()


def aside(folder: Path) -> list[Path]:
    """The files that were set aside."""
    return [one for one in folder.glob("store.db.broken-*") if not one.name.endswith("-wal")]


async def drained(store: Store) -> Arrived:
    """Read and settle as a delivery does, until nothing is owed and nothing held."""
    arrived: Arrived = {}
    async with asyncio.timeout(20.0):
        while True:
            await store.flush()
            busy = False
            for name in list(store.accounts):
                for start, stop in list(store.accounts[name].deliverable()):
                    busy = True
                    (rows,) = await store.read([(name, start, stop, 500)])
                    for row in rows:
                        arrived[name, row.context.epoch, row.seq] = msgpack.unpackb(row.body)
                        store.settle(name, row.seq, row.seq + 1)
                    there = {row.seq for row in rows}
                    for number in range(start, rows[-1].seq if len(rows) == 500 else stop):
                        if number not in there and number not in store.accounts[name].held:
                            arrived[name, "vanished", number] = {}
                            store.settle(name, number, number + 1)
            await store.flush()
            if not busy and not any(account.held for account in store.accounts.values()):
                if not store.rescuing:
                    return arrived
                await asyncio.sleep(0.02)
            elif not busy:
                await asyncio.sleep(0.02)


def judged(arrived: Arrived, rows: int = 50) -> tuple[int, int]:
    """How many owed rows are neither there nor counted, and how many are counted as lost."""
    events = [row for (name, _, _), row in arrived.items() if name == event(AGENT)]
    counted = {
        (one["stream"], number)
        for one in events
        if one["ev"] == "rows_lost"
        for number in range(one["from"], one["to"] + 1)  # type: ignore[call-overload]
    }
    counted |= {(name, number) for name, epoch, number in arrived if epoch == "vanished"}
    missing = 0
    for name in STREAMS:
        for number in range(rows // 5 + 1, rows + 1):
            found = arrived.get((name, "aaaaaaaa", number))
            if found is not None:
                assert found["n"] == number - 1, "a row must say what it said before"
            elif (name, number) not in counted:
                missing += 1
    return missing, len(counted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store.db"
    filled(path)
    return path


@pytest.mark.parametrize("how", ["zeros", "noise", "half", "bitflip", "copy"])
async def test_16_whatever_page_is_damaged_the_store_goes_on_and_all_that_is_whole_arrives(
    tmp_path: Path, whole: Path, how: str
) -> None:
    for seed in range(12):
        path = tmp_path / str(seed) / "store.db"
        path.parent.mkdir()
        shutil.copy(whole, path)
        damaged = 1 if seed == 0 else random.Random(f"{how}{seed}").randrange(1, page_count(path) + 1)
        damage_page(path, damaged, how, seed)
        store = await opened(path)
        store.append(reading("telemetry/s0", n=-1))
        arrived = await drained(store)
        assert any(row.get("n") == -1 for row in arrived.values()), "new readings are taken"
        missing, lost = judged(arrived)
        assert lost <= 40, f"{how} of page {damaged}: one page holds no more"
        # Without the page of the account it is not known what was owed: then what is there comes again.
        assert missing <= 40, f"{how} of page {damaged}: {missing} rows neither came nor were counted"
        await store.close(5.0)


async def test_16_a_page_that_is_damaged_while_it_runs_is_noticed_and_new_readings_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    store = await opened(path)
    await store.flush()
    epoch = store.epoch
    for number in range(8, page_count(path) + 1):
        damage_page(path, number, "noise", number)
    store.append(reading("telemetry/s0", n=-1))
    arrived = await drained(store)
    assert any(row.get("n") == -1 for row in arrived.values())
    assert store.epoch != epoch
    assert judged(arrived)[0] == 0, "the accounts were known: each row comes or is counted"
    assert aside(tmp_path)
    await store.close(5.0)


async def test_16_a_zeroed_header_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    with path.open("r+b") as stream:
        stream.write(bytes(100))
    store = await opened(path)
    arrived = await drained(store)
    assert judged(arrived) == (0, 0)
    assert store.recall("counter") == "42", "what was remembered is rescued, too"
    assert [number for name, epoch, number in arrived if name == "telemetry/s3" and epoch == "aaaaaaaa"] == [
        *range(11, 51)
    ]
    assert store.accounts["telemetry/s3"].next == 51, "numbers go on"
    await store.close(5.0)


async def test_16_rows_that_are_only_in_the_log_are_rescued(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(path, 1 << 24, "b0070000", "aaaaaaaa")
    database.commit(Commit([reading("telemetry/s0", n=number) for number in range(40)], NOW, "mh000000"))
    # As after a cut: the log is there, and the file has nothing yet.
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"store.db{suffix}", tmp_path / f"cut.db{suffix}")
    database.close()
    cut = tmp_path / "cut.db"
    with cut.open("r+b") as stream:
        stream.write(b"\xff" * 1024)
    store = await opened(cut)
    arrived = await drained(store)
    assert [number for name, epoch, number in arrived if name == "telemetry/s0"] == [*range(1, 41)]
    await store.close(5.0)


async def test_16_a_second_damage_in_one_boot_keeps_the_first_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for content in (b"first" * 1000, b"second" * 1000):
        delete_store(path)
        path.write_bytes(content)
        store = await opened(path)
        await store.close(5.0)
    kept = {one.read_bytes()[:5] for one in aside(tmp_path)}
    assert kept == {b"first", b"secon"}


async def test_16_files_that_are_set_aside_are_bounded_and_the_newest_stays(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for number in range(6):
        path.write_bytes(b"%d" % number * 5000)
        store = await opened(path)
        await until(lambda store=store: not store.rescuing)  # type: ignore[misc]
        await store.close(5.0)
    kept = sorted(one.read_bytes()[:1] for one in aside(tmp_path))
    assert len(kept) <= 3
    assert b"5" in kept


@pytest.mark.parametrize("how", ["empty", "missing"])
async def test_16_a_store_that_is_empty_or_missing_is_told(tmp_path: Path, how: str) -> None:
    path = tmp_path / "store.db"
    filled(path)
    await (await opened(path)).close(5.0)
    delete_store(path)
    if how == "empty":
        path.touch()
    store = await opened(path)
    arrived = await drained(store)
    events = [row for (name, _, _), row in arrived.items() if name == event(AGENT)]
    assert [one["why"] for one in events if one["ev"] == "store_reset"] == ["missing"]
    assert sum(int(str(one["n"])) for one in events if one["ev"] == "rows_lost") == 12 * 40, "what was owed is counted"
    await store.close(5.0)


async def test_16_the_first_start_of_all_is_no_loss(tmp_path: Path) -> None:
    store = await opened(tmp_path / "store.db")
    assert await drained(store) == {}
    await store.close(5.0)


async def test_16_an_account_that_makes_no_sense_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    raw = path.read_bytes()
    path.write_bytes(
        raw.replace(b"telemetry/s5\x33", b"telemetry/s5\x00").replace(b"1:aaaaaaaa1-11", b"1:aaaaaaaa1-x1", 1)
    )
    store = await opened(path)
    arrived = await drained(store)
    assert sum(name in STREAMS and epoch == "aaaaaaaa" for name, epoch, _ in arrived) >= 12 * 40
    await store.close(5.0)


async def test_16_the_running_agent_survives_a_damaged_store_and_its_rows_arrive(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    filled(state / "store.db")
    damage_page(state / "store.db", 1, "zeros")
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        async with AgentProcess(tmp_path, configuration(broker.url)) as agent:
            await until(lambda: sum(len(recorder.rows(name)) for name in STREAMS) == 12 * 40, 20.0)
            await agent.told("rescued 480 rows")
            assert recorder.events("store_reset", why="damaged")
            assert (await agent.stop())[0] == 0
    assert agent.count("Traceback") == 0
    assert json.loads((state / "store.db.note").read_text())["owed"] == []


def test_16_accounts_of_ended_epochs_stay_usable() -> None:
    account = StreamAccount.starting_at(100, "bbbbbbbb")
    assert account.low_water("not known") == 100
