"""What systemd would hear of the running agent: a real process, and a real socket in place of systemd's."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import foreign_driver
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, free_port, until
from tests.support.recorder import Recorder
from tests.support.systemd_socket import WATCHDOG_S, Systemd

SENSOR = sensor("load", "system", more="interval_s = 0.2")

BLOCKS_THE_LOOP = """
import dataclasses, signal
from drivers import system
DRIVER = dataclasses.replace(system.DRIVER, name="blocks")
# A handler runs where the event loop runs.
signal.signal(signal.SIGALRM, lambda *_: time.sleep(60))
signal.setitimer(signal.ITIMER_REAL, 3)
"""


@pytest.fixture
async def systemd(tmp_path: Path) -> AsyncIterator[Systemd]:
    systemd = Systemd(tmp_path)
    yield systemd
    systemd.close()


async def test_systemd_hears_when_it_is_ready_how_it_is_and_that_it_stops(tmp_path: Path, systemd: Systemd) -> None:
    with Mosquitto(tmp_path) as mosquitto:
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [SENSOR]), environ=systemd.environ) as agent:
            await until(systemd.hears("READY=1"))
            await until(systemd.hears("STATUS=1 of 1 sensors OK, connected, "))
            await until(systemd.hears("WATCHDOG=1", 5))
            assert not systemd.lines("STOPPING=1")
            await agent.stop()
            await until(systemd.hears("STOPPING=1"))
    assert len(systemd.lines("READY=1")) == 1


async def test_a_broker_that_is_away_is_no_reason_to_restart(tmp_path: Path, systemd: Systemd) -> None:
    text = configuration(f"mqtt://127.0.0.1:{free_port()}", [SENSOR])
    async with AgentProcess(tmp_path, text, environ=systemd.environ):
        await until(systemd.hears("WATCHDOG=1", 10))
        assert any("not connected" in line for line in systemd.lines("STATUS="))


async def test_a_loop_that_stands_still_is_not_fed_and_its_place_is_logged(tmp_path: Path, systemd: Systemd) -> None:
    packages = tmp_path / "packages"
    foreign_driver.install(packages, "blocks", BLOCKS_THE_LOOP)
    text = configuration(f"mqtt://127.0.0.1:{free_port()}", [SENSOR, sensor("bad", "blocks")])
    async with AgentProcess(tmp_path, text, packages, environ=systemd.environ) as agent:
        await until(systemd.hears("WATCHDOG=1", 2))
        await agent.told("Timeout (0:00:00.")
        await agent.told("events.py")
        before = len(systemd.lines("WATCHDOG=1"))
        fed_s = systemd.heard[-1][0]
        await until(lambda: time.monotonic() > fed_s + WATCHDOG_S)
        assert len(systemd.lines("WATCHDOG=1")) == before


async def test_after_five_faults_it_runs_without_sensors_until_it_gets_another_configuration(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        agent = AgentProcess(tmp_path, configuration(mosquitto.url, [SENSOR]))
        async with agent:
            await until(lambda: bool(recorder.rows("telemetry/load")))
            await agent.stop()
        counted = json.loads((agent.state / "starts").read_text())
        assert counted["failed"] == 0
        (agent.state / "starts").write_text(json.dumps({**counted, "failed": 5}))
        recorder.forget()
        await agent.start()
        await agent.told("running without sensors")
        await until(lambda: bool(recorder.events("safe_mode")))
        assert not recorder.rows("telemetry/load")
        agent.file.write_text(agent.file.read_text() + sensor("more", "system", more="interval_s = 0.2"))
        agent.hang_up()
        await until(lambda: bool(recorder.rows("telemetry/load") and recorder.rows("telemetry/more")))
        await agent.stop()
