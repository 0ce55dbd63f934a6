"""A clock that jumps by decades, that strobes, or that passes 2038: the agent goes on, and only ``t`` shows it."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.outside.timed_gateway import NEVER_SET_S, STREAM, YEAR_S, City, Gateway
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

_END_OF_32_BITS_S = 1 << 31
_STALL_MS = 3000


def assert_nothing_happened(gateway: Gateway, recorder: Recorder) -> None:
    """Every reading arrived, the sensor was never lost, and no timer went off."""
    numbers = {number for stream, number in gateway.accepted() if stream.stream == STREAM}
    assert len(recorder.rows(STREAM)) == len(numbers)
    assert recorder.whole(STREAM)
    assert recorder.events("sensor_lost") == recorder.events("rows_lost") == recorder.events("store_reset") == []
    assert gateway.count("Traceback") == 0


@pytest.mark.parametrize("years", [50, -50])
async def test_a_jump_of_fifty_years_loses_no_row_and_stops_no_sensor(tmp_path: Path, years: int) -> None:
    """With a backlog: retention must not delete it, and no wait may last until the clock is back."""
    broker = Mosquitto(tmp_path)
    gateway = Gateway(tmp_path, broker.url, grace_s=0.5)
    async with gateway:
        await gateway.told("not connected")
        gateway.clock(years * YEAR_S)
        with broker as mosquitto, Recorder(mosquitto.port) as recorder:
            await until(lambda: len(recorder.rows(STREAM)) > 5)
            before = len(recorder.rows(STREAM))
            gateway.clock(0)
            await until(lambda: len(recorder.rows(STREAM)) > before + 5)
            assert (await gateway.stop())[0] == 0
            assert_nothing_happened(gateway, recorder)
            steps = [later["t"] - earlier["t"] for earlier, later in pairwise(recorder.rows(STREAM))]
            jumps = [step for step in steps if not -_STALL_MS < step < _STALL_MS]
            assert [round(step / (1000 * YEAR_S)) for step in jumps] in ([years, -years], [-years])
            assert gateway.count("connected") - gateway.count("not connected") == 1


async def test_a_strobing_clock_causes_no_storm(tmp_path: Path) -> None:
    """Four seconds ahead, four seconds behind, five times a second, after rows went out with the clock unset."""
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        gateway = Gateway(tmp_path, mosquitto.url, grace_s=0.5)
        gateway.clock(NEVER_SET_S)
        async with gateway:
            await until(lambda: recorder.rows(STREAM))
            for turn in range(30):
                gateway.clock(4 if turn % 2 else -4)
                await asyncio.sleep(0.2)
            gateway.clock(0)
            before = len(recorder.rows(STREAM))
            await until(lambda: len(recorder.rows(STREAM)) > before + 5)
            assert (await gateway.stop())[0] == 0
        assert_nothing_happened(gateway, recorder)
        assert len(recorder.events("clock_set")) == 1, "at most one correction a minute"
        assert recorder.sessions() == 1


async def test_a_clock_passes_the_end_of_32_bits(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        gateway, city = Gateway(tmp_path, mosquitto.url), City(mosquitto.port, recorder)
        gateway.clock(round(_END_OF_32_BITS_S - time.time()) - 4)
        async with gateway:
            await until(
                lambda: recorder.rows(STREAM) and recorder.rows(STREAM)[-1]["t"] > 1000 * _END_OF_32_BITS_S + 500
            )
            assert (await gateway.stop())[0] == 0
        assert_nothing_happened(gateway, recorder)
        assert {message["cq"] for message in city.messages()} == {1}
        times = [row["t"] for row in recorder.rows(STREAM)]
        assert times == sorted(times)
