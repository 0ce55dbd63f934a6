"""A configuration that names another broker, or whose broker misbehaves: the gateway comes back."""

from pathlib import Path
from typing import Any

import pytest

from tests.outside.update_city import LOAD, MORE, City
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_packets import Publish
from tests.support.recorder import Recorder
from tests.support.scripted_broker import ScriptedBroker, Session


async def _never(city: City, broker: ScriptedBroker) -> None:
    broker.answer = lambda session, publish: None


async def _denies_telemetry(city: City, broker: ScriptedBroker) -> None:
    broker.answer = lambda session, publish: 0x87 if publish.leaf.startswith("telemetry/") else 0


async def _denies_all(city: City, broker: ScriptedBroker) -> None:
    broker.answer = lambda session, publish: 0x87


async def _closes(city: City, broker: ScriptedBroker) -> None:
    def close(session: Session, publish: Publish) -> None:
        session.writer.close()

    broker.answer = close


BROKERS = [_never, _denies_telemetry, _denies_all, _closes]


@pytest.mark.parametrize("misbehave", BROKERS)
async def test_09_a_new_broker_that_acknowledges_nothing_is_left_at_the_deadline(city: City, misbehave: Any) -> None:
    async with ScriptedBroker() as other:
        await misbehave(city, other)
        city.push(1, broker={"url": other.url})
        await until(lambda: bool(other.sessions))
        report = await city.report(1, "rolled_back")
        assert (report["cause"]["code"], report["running"]["version"]) == ("broker", 0)
        await city.samples()


async def test_09_a_new_broker_that_is_not_there_is_left_whatever_the_old_one_says(city: City) -> None:
    city.push(1, broker={"url": ["mqtt://127.0.0.1:1"], "keepalive_s": 30})
    await until(lambda: city.broker.sessions[-1].ended)
    city.broker.deaf = True
    assert await city.agent.told("rolled back the new configuration")
    city.broker.deaf = False
    await city.report(1, "rolled_back", 40)


@pytest.mark.parametrize("misbehave", BROKERS)
async def test_09_the_same_broker_that_acknowledges_nothing_any_more_does_not_make_it_wait(
    city: City, misbehave: Any
) -> None:
    def stop() -> None:
        city.broker.answer = lambda session, publish: 0

    city.push(1, LOAD, MORE)
    await misbehave(city, city.broker)
    await city.agent.told("rolled back the new configuration", 40)
    stop()
    await city.report(1, "rolled_back", 60)
    await city.samples()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_09_a_root_that_the_acl_does_not_allow_is_left(tmp_path: Path, protocol: str) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite makassar/#\n")
    with Mosquitto(tmp_path, f"allow_anonymous true\nacl_file {acl}") as broker, Recorder(broker.port) as recorder:
        table = f'url = "{broker.url}"\nprotocol = "{protocol}"'
        text = configuration(table, [sensor("load", "system", more="interval_s = 0.2")], "max_delay_s = 0.1")
        async with AgentProcess(tmp_path, text, module="tests.support.hasty_agent") as agent:
            await until(lambda: len(recorder.rows("telemetry/load")) > 1)
            agent.file.write_text(text.replace("[gateway]\n", '[gateway]\nroot = "maros"\n'))
            agent.hang_up()
            await agent.told("rolled back the new configuration")
            before = len(recorder.rows("telemetry/load"))
            await until(lambda: len(recorder.rows("telemetry/load")) > before)


async def test_09_a_gateway_whose_sensors_are_slow_sends_a_reading_of_its_own(city: City) -> None:
    city.push(1, {**LOAD, "interval_s": 3600}, MORE | {"interval_s": 3600, "required": False}, confirm_s=5)
    await city.report(1, "confirmed", 5)
    assert city.broker.rows("telemetry/_agent")
