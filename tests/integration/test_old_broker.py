"""Brokers that know only MQTT 3.1.1: found out by the agent itself, and as safe."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, agent_environ, configuration
from tests.support.mosquitto import Mosquitto, free_port, until
from tests.support.old_broker import OldBroker
from tests.support.recorder import Recorder
from tests.support.scripted_broker import ScriptedBroker
from tests.support.street import PERSISTENT, arrived, live_through_outage, street


async def test_nothing_is_lost_with_a_broker_that_refuses_version_5(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, PERSISTENT.format(folder=tmp_path))
    with broker, Recorder(broker.port) as recorder:
        async with street(tmp_path) as devices, OldBroker(broker.port) as old:
            agent = AgentProcess(tmp_path, configuration(f"mqtt://127.0.0.1:{old.port}", devices.sensors))
            assert await live_through_outage(broker, recorder, agent, devices, 4.0) == []
    assert agent.count("connected, MQTT 3.1.1") == 2
    assert old.refused >= 1


async def test_a_refusal_in_the_words_of_version_5_is_understood(tmp_path: Path) -> None:
    """A CONNACK with reason 0x84, as a newer broker says it."""
    async with ScriptedBroker(versions=(4,), refuse_in_own_version=False) as broker:
        await assert_delivers(tmp_path, broker)


async def test_a_refusal_in_the_words_of_version_3_is_understood(tmp_path: Path) -> None:
    async with ScriptedBroker(versions=(4,)) as broker:
        await assert_delivers(tmp_path, broker)


async def test_a_broker_that_hangs_up_on_version_5_is_understood(tmp_path: Path) -> None:
    async with ScriptedBroker(versions=(4,), hang_up_on_others=True) as broker:
        await assert_delivers(tmp_path, broker)


async def assert_delivers(folder: Path, broker: ScriptedBroker) -> None:
    async with (
        street(folder, 1) as devices,
        AgentProcess(folder, configuration(broker.url, devices.sensors)),
    ):
        await until(lambda: len(broker.rows("telemetry/dust-0")) > 5, 20.0)
    assert broker.sessions[-1].version == 4


async def test_it_delivers_to_amqtt(tmp_path: Path) -> None:
    """A broker that leaves a CONNECT of version 5 without an answer."""
    pytest.importorskip("amqtt")
    async with amqtt(tmp_path) as port:
        with Recorder(port) as recorder:
            async with (
                street(tmp_path, 2) as devices,
                AgentProcess(tmp_path, configuration(f"mqtt://127.0.0.1:{port}", devices.sensors)) as agent,
            ):
                await until(lambda: arrived(recorder, "dust-0") > 5 and arrived(recorder, "dust-1") > 5, 30.0)
                await agent.told("MQTT 3.1.1")


@contextlib.asynccontextmanager
async def amqtt(folder: Path) -> AsyncIterator[int]:
    """amqtt in a process of its own; gives its port."""
    port = free_port()
    file = folder / "amqtt.yaml"
    file.write_text(
        f"listeners: {{default: {{type: tcp, bind: 127.0.0.1:{port}}}}}\n"
        "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
    )
    command = ("-c", "from amqtt.scripts.broker_script import main; main()", "-c", str(file))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stderr=asyncio.subprocess.DEVNULL, env=agent_environ()
    )
    try:
        await until(lambda: listens(port))
        yield port
    finally:
        process.kill()
        await process.wait()


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
