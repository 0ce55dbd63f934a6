"""A gateway without network time takes it from its GNSS receiver (``[clock] source``)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.delivery import wire
from drivers.sim.nmea import encode_rmc
from drivers.sim.pty_port import PtyPort
from tests.outside.test_time import NEVER_SET_S, Gateway, is_now
from tests.support.agent_process import sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

STREAM = "telemetry/load"


class Receiver:
    """A GNSS receiver on a pty, which sends a sentence five times a second; without a fix at first."""

    def __init__(self) -> None:
        self.port = PtyPort()
        self.has_fix = False

    async def run(self) -> None:
        while True:
            now = datetime.now(UTC)
            values = {"utc": f"{now:%H%M%S}.{now.microsecond // 10_000:02}", "date": f"{now:%d%m%y}"}
            place = {} if self.has_fix else {"lat": None, "lon": None}
            self.port.write(encode_rmc({**values, **place}))
            await asyncio.sleep(0.2)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    task = asyncio.create_task(receiver.run())
    yield receiver
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_first_fix_sets_the_time_of_all_readings(tmp_path: Path, receiver: Receiver) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        gateway = Gateway(tmp_path, mosquitto.url)
        gps = sensor("gps", "nmea0183", receiver.port.port, more="interval_s = 1")
        text = gateway.file.read_text().replace("[clock]\n", '[clock]\nsource = "gps"\n')
        gateway.file.write_text(text + gps)
        gateway.clock(NEVER_SET_S)
        async with gateway:
            await until(lambda: bool(recorder.events("started")))
            await asyncio.sleep(1)  # readings wait for the clock: there is nothing else to wait for
            assert not recorder.rows(STREAM)
            receiver.has_fix = True
            await until(lambda: len(recorder.rows(STREAM)) > 15)
            await until(lambda: any(batch["cq"] == 3 for batch in _batches(recorder)))
            await until(lambda: bool(recorder.events("clock_set")))
            await gateway.stop()
    (told,) = recorder.events("clock_set")
    assert is_now(told["to"])
    assert {batch["cq"] for batch in _batches(recorder)} == {3}
    assert all(abs(row["t"] - 1000 * time.time()) < 60_000 for row in recorder.rows(STREAM))


def _batches(recorder: Recorder) -> list[dict[str, object]]:
    messages = [message for message in recorder.messages.copy() if message.topic.endswith(f"/{STREAM}")]
    return [dict(wire.decode(message.payload)) for message in messages]
