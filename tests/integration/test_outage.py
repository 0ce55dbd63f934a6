"""The promise: what the agent accepted arrives, once, in order, whatever happens to the broker and to the agent."""

from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, configuration
from tests.support.mosquitto import Mosquitto
from tests.support.recorder import Recorder
from tests.support.street import PERSISTENT, live_through_outage, street


async def faults_of_an_outage(folder: Path, seconds: float) -> list[str]:
    broker = Mosquitto(folder, PERSISTENT.format(folder=folder))
    with broker, Recorder(broker.port) as recorder:
        async with street(folder) as devices:
            agent = AgentProcess(folder, configuration(broker.url, devices.sensors))
            return await live_through_outage(broker, recorder, agent, devices, seconds)


async def test_nothing_is_lost_when_broker_and_agent_fail_together(tmp_path: Path) -> None:
    assert await faults_of_an_outage(tmp_path, 6.0) == []


@pytest.mark.long
async def test_nothing_is_lost_in_half_a_minute_without_broker(tmp_path: Path) -> None:
    assert await faults_of_an_outage(tmp_path, 30.0) == []
