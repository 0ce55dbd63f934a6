"""A clock that is set late, and one that was wrong."""

import asyncio
import time
from pathlib import Path

from agent.base.reading import Reading, Stamp
from agent.store.io.database import Commit, Database
from tests.outside.timed_gateway import HOUR_S, NEVER_SET_S, STREAM, YEAR_S, City, Gateway, is_now
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder


async def test_35_rows_measured_before_the_clock_was_set_leave_with_their_true_time(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        city, gateway = City(mosquitto.port, recorder), Gateway(tmp_path, mosquitto.url)
        gateway.clock(NEVER_SET_S)
        async with gateway:
            await until(lambda: bool(recorder.events("started")))
            await city.measured(5)
            assert city.messages() == [], "readings wait for the clock; events do not"
            assert not is_now(recorder.events("started")[0]["t"])
            gateway.clock(0)
            await until(lambda: len(recorder.rows(STREAM)) > 8)
            await gateway.stop()
    batches = city.messages()
    assert {batch["cq"] for batch in batches} == {1}
    assert all(batch.get("h") is True for batch in batches if batch["seq"] < 5)
    times = [row["t"] for row in recorder.rows(STREAM)]
    assert times == sorted(times)
    assert all(is_now(t) for t in times)
    (told,) = recorder.events("clock_set")
    assert (told["bid"], is_now(told["from"] - 1000 * NEVER_SET_S), is_now(told["to"])) == ("11111111", True, True)


async def test_35_a_row_that_was_sent_keeps_its_time_over_restarts(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        city, gateway = City(mosquitto.port, recorder), Gateway(tmp_path, mosquitto.url, grace_s=0.5)
        gateway.clock(NEVER_SET_S)
        async with gateway:
            await until(lambda: len(recorder.rows(STREAM)) >= 3)
            first = city.messages()[0]
            assert (first["cq"], first["h"], is_now(first["r"][0]["t"])) == (0, True, False)
            gateway.clock(0)
            await until(lambda: any(batch["cq"] == 1 for batch in city.messages()))
            await gateway.stop()
            await gateway.start()
            await until(lambda: gateway.count("connected") == 2)
            corrected = next(batch for batch in city.messages() if batch["cq"] == 1)
            for batch in (first, corrected):
                recorder.messages.clear()
                last = batch["seq"] + len(batch["r"]) - 1
                await city.asked("resend", stream=STREAM, ep=batch["ep"], **{"from": batch["seq"], "to": last})
                again: dict[int, tuple[int, int]] = {}
                async with asyncio.timeout(20.0):
                    while len(again) < len(batch["r"]):
                        await city.asked("ping")
                        again = {
                            one["seq"] + at: (one["cq"], row["t"])
                            for one in city.messages()
                            for at, row in enumerate(one["r"])
                            if batch["seq"] <= one["seq"] + at <= last
                        }
                assert [again[number] for number in sorted(again)] == [(batch["cq"], row["t"]) for row in batch["r"]]
            await gateway.stop()


async def test_35_rows_of_an_earlier_boot_are_corrected_where_its_clock_was_set(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    gateway = Gateway(tmp_path, broker.url)
    gateway.clock(NEVER_SET_S)
    async with gateway:
        await gateway.told("not connected")
        await gateway.stop()
        assert gateway.accepted()
        gateway.boot("22222222")
        await gateway.start()
        await until(lambda: gateway.count("not connected") == 2)
        gateway.clock(0)
        await gateway.told("the clock was set")
        await gateway.stop()
        gateway.boot("33333333")
        gateway.clock(NEVER_SET_S)
        with broker as mosquitto, Recorder(mosquitto.port) as recorder:
            await gateway.start()
            city = City(mosquitto.port, recorder)
            await until(lambda: {"11111111", "22222222"} <= {one["bid"] for one in city.messages("event/_agent")})
            await until(lambda: {"22222222"} <= {one["bid"] for one in city.messages()})
            await gateway.stop()
    found = {
        (one["bid"], one["cq"], is_now(row["t"]))
        for one in city.messages() + city.messages("event/_agent")
        for row in one["r"]
        if one["bid"] != "33333333"
    }
    assert found == {("11111111", 0, False), ("22222222", 1, True)}


async def _believes_after_a_restart(city: City, gateway: Gateway) -> None:
    """The third start finds the clock as it was left: believed."""
    await gateway.stop()
    await gateway.start()
    await until(lambda: gateway.count("connected") == 3)
    await city.becomes(1)
    await gateway.stop()


async def test_36_a_clock_that_was_a_year_ahead_is_forgotten_once_there_is_proof(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        city, gateway = City(mosquitto.port, recorder), Gateway(tmp_path, mosquitto.url)
        gateway.clock(YEAR_S)
        async with gateway:
            await until(lambda: bool(recorder.rows(STREAM)))
            assert await city.quality() == 1
            await gateway.stop()
            gateway.clock(0)
            await gateway.start()
            await city.becomes(0)
            gateway.hears_time_server(True)
            await city.becomes(2)
            gateway.hears_time_server(False)
            await city.becomes(1)
            await _believes_after_a_restart(city, gateway)


async def test_36_a_clock_that_is_set_back_while_the_agent_runs_is_believed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        city, gateway = City(mosquitto.port, recorder), Gateway(tmp_path, mosquitto.url)
        gateway.clock(YEAR_S)
        async with gateway:
            await until(lambda: bool(recorder.rows(STREAM)))
            await gateway.stop()
            gateway.clock(YEAR_S - HOUR_S)
            await gateway.start()
            await city.becomes(0)
            gateway.clock(0)
            await city.becomes(1)
            await _believes_after_a_restart(city, gateway)


async def test_36_a_clock_that_starts_an_hour_behind_the_newest_time_is_unset(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        city, gateway = City(mosquitto.port, recorder), Gateway(tmp_path, mosquitto.url)
        # A store of an earlier release: its newest time is not that of its last row.
        gateway.state.mkdir()
        database = Database(gateway.state / "store.db", 1 << 28, "00000000", "aaaaaaaa")
        now_ms = int(1000 * time.time())
        stamps = [Stamp(now_ms, 1, 1), Stamp(now_ms - 1000 * HOUR_S, 2, 1)]
        database.commit(Commit([Reading(STREAM, one, "mh000000", b"\x80") for one in stamps], stamps[0], "mh000000"))
        database.close()
        gateway.clock(-HOUR_S)
        async with gateway:
            for start in (1, 2):  # and again with the rows of the first start
                await until(lambda start=start: gateway.count("connected") == start)
                assert await city.quality() == 0
                await gateway.kill()
                await gateway.start()
            await until(lambda: gateway.count("connected") == 3)
            gateway.clock(0)
            await city.becomes(1)
            await gateway.stop()
