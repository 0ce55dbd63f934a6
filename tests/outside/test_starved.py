"""An agent that gets a tenth of a core keeps its sensors' rhythm, also while a backlog drains."""

import asyncio
import signal
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from agent.base.reading import Reading, Stamp
from agent.store.io.database import Commit, Database
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

_BACKLOG, _CHUNK = 20_000, 1000
_OLD, _LOAD = "telemetry/old", "telemetry/load"
_RUNS_S, _RESTS_S, _STARVED_S = 0.01, 0.09, 6.0


def preload(store: Path) -> None:
    """A store with a backlog of an hour ago."""
    store.parent.mkdir()
    database = Database(store, 1 << 28, "00000000", "aaaaaaaa")
    now_ms = int(1000 * time.time()) - 3_600_000
    for first in range(0, _BACKLOG, _CHUNK):
        stamps = [Stamp(now_ms + number, number, 1) for number in range(first, first + _CHUNK)]
        readings = [Reading(_OLD, stamp, "mh000000", b"\x80") for stamp in stamps]
        database.commit(Commit(readings, stamps[0], "mh000000"))
    database.close()


async def starve(agent: AgentProcess, seconds: float) -> None:
    """Let it run a tenth of the time."""
    end_s = time.monotonic() + seconds
    try:
        while time.monotonic() < end_s:
            agent.signal(signal.SIGSTOP)
            await asyncio.sleep(_RESTS_S)
            agent.signal(signal.SIGCONT)
            await asyncio.sleep(_RUNS_S)
    finally:
        with suppress(ProcessLookupError):
            agent.signal(signal.SIGCONT)


async def test_a_starved_agent_keeps_the_rhythm_and_loses_nothing(tmp_path: Path) -> None:
    preload(tmp_path / "state" / "store.db")
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        text = configuration(broker.url, [sensor("load", "system", more="interval_s = 0.5")], "max_delay_s = 0.2")
        async with AgentProcess(tmp_path, text) as agent:
            await until(lambda: len(recorder.rows(_LOAD)) > 1)
            began_ms = int(1000 * time.time())
            await starve(agent, _STARVED_S)
            await until(lambda: len(recorder.rows(_OLD)) == _BACKLOG)
            assert (await agent.stop())[0] == 0
        times = [row["t"] for row in recorder.rows(_LOAD) if began_ms < row["t"] < began_ms + 1000 * _STARVED_S]
        assert len(times) > _STARVED_S
        assert max(later - earlier for earlier, later in pairwise(times)) < 2000
        assert recorder.whole(_LOAD)
        assert recorder.events("sensor_lost") == recorder.events("rows_lost") == []
        assert agent.count("Traceback") == 0
