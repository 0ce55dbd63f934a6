"""Messages that a stranger can send: each is refused alone, and the agent goes on."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.config.settings import Broker
from agent.delivery.connection import BrokerUnreachable
from agent.delivery.io import mqtt
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_caller import Caller
from tests.support.recorder import Recorder
from tests.support.scripted_broker import ScriptedBroker, Session

EXPIRES = int(1000 * time.time()) + 500_000


@pytest.fixture(params=[4, 5])
async def city(request: pytest.FixtureRequest) -> AsyncIterator[ScriptedBroker]:
    """A broker that sends whatever it likes, in both versions of MQTT."""
    async with ScriptedBroker(versions=(request.param,)) as scripted:
        yield scripted


async def online(scripted: ScriptedBroker) -> Session:
    """The session of an agent that is wholly there."""
    await until(lambda: any("streams" in one.leaves() for one in scripted.sessions))
    return scripted.sessions[-1]


async def answers_ping(session: Session, identity: str) -> None:
    """Ask, and wait for the reply in this very session."""
    asked = json.dumps({"id": identity, "exp": EXPIRES}).encode()
    session.publish(f"{BASE}/command/ping".encode(), asked)
    await until(lambda: f"reply/{identity}" in session.leaves())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resend", r'"stream":"\ud800","ep":"x","from":1,"to":2'),
        ("resend", r'"stream":"telemetry/load","ep":"\udfff","from":1,"to":2'),
        ("read", r'"sensor":"\ud800"'),
    ],
)
async def test_01_half_a_character_in_a_command_is_refused_and_ends_nothing(
    tmp_path: Path, name: str, arguments: str
) -> None:
    text = "{" + f'"id":"z9","exp":{EXPIRES},{arguments}' + "}"
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [sensor("load", "system")])) as agent:
            await until(lambda: recorder.sessions() == 1)
            with Caller(mosquitto.port, "stranger") as stranger:
                for _ in range(5):
                    stranger.publish(f"{BASE}/command/{name}", text.encode())
                await until(lambda: recorder.last("reply/z9") is not None)
                stranger.publish(f"{BASE}/command/ping", json.dumps({"id": "p1", "exp": EXPIRES}).encode())
                await until(lambda: recorder.last("reply/p1") is not None)
            assert recorder.last("reply/z9")["status"] == "rejected"
            assert (await agent.stop())[0] == 0
    assert agent.count("Traceback") == 0


async def test_02_a_topic_that_is_not_utf_8_is_refused_alone(tmp_path: Path, city: ScriptedBroker) -> None:
    async with AgentProcess(tmp_path, configuration(city.url)) as agent:
        session = await online(city)
        for mid in range(1, 200):
            session.publish(BASE.encode() + b"/command/\xff\xfe\xc0", b"{}", mid)
        await until(lambda: len(session.acknowledged) == 199)
        await answers_ping(session, "after")
        assert (agent.count("not UTF-8"), agent.count("Traceback")) == (10, 0), "at most ten lines a minute"
        assert not session.ended


async def test_03_a_huge_message_is_passed_over_before_it_is_buffered(tmp_path: Path, city: ScriptedBroker) -> None:
    async with AgentProcess(tmp_path, configuration(city.url)) as agent:
        session = await online(city)
        before_mb = agent.peak_mb()
        session.publish(f"{BASE}/command/ping".encode(), bytes(60_000_000), mid=7)
        await until(lambda: 7 in session.acknowledged, 30.0)
        await answers_ping(session, "after")
        assert agent.peak_mb() - before_mb < 10
        assert agent.count("the limit is 262144") == 1
        assert not session.ended


@pytest.mark.parametrize("host", ["..", "a..b", ".", "x" * 64 + ".example", "ä" * 70, "a\x00b"])
async def test_04_a_name_that_no_host_can_have_is_not_reached_and_ends_nothing(host: str) -> None:
    url = f"mqtt://{host}:1883"
    with pytest.raises(BrokerUnreachable):
        await mqtt.connect(Broker(url), url, "pos-1", None, mqtt5=True)


@pytest.mark.parametrize("url", ["mqtt://host:99999", "mqtt://host:x", "mqtt://[::1", "http://host", "", "mqtt://"])
async def test_04_an_address_that_is_none_is_not_reached_and_ends_nothing(url: str) -> None:
    with pytest.raises(BrokerUnreachable):
        await mqtt.connect(Broker(url), url, "pos-1", None, mqtt5=True)


async def test_02_a_broker_that_speaks_no_mqtt_is_named_so_and_left(tmp_path: Path, city: ScriptedBroker) -> None:
    async with AgentProcess(tmp_path, configuration(city.url)) as agent:
        session = await online(city)
        session.writer.write(b"\x32\xff\xff\xff\xff")
        await agent.told("the broker sent data that is not MQTT")
        await until(lambda: len(city.sessions) > 1 and "streams" in city.sessions[-1].leaves())
        await answers_ping(city.sessions[-1], "after")
        assert agent.count("Traceback") == 0
