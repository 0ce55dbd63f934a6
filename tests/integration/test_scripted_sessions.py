"""Sessions with a broker that does as the test tells it: who is there, wills, generations, and how links end."""

import asyncio
import json
from pathlib import Path

from agent.delivery.policies.backoff import Backoff
from tests.integration.counted_rows import COUNT, hurried, introduced
from tests.support.gateway import TOPICS, gateway
from tests.support.mosquitto import until
from tests.support.mqtt_packets import Publish as Message
from tests.support.scripted_broker import ScriptedBroker, Session


async def test_a_session_says_who_and_what_and_where_it_stands_before_any_reading(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url) as running:
        running.measure("count-1", 1, 2, 3)
        await running.settled()
        leaves = broker.sessions[0].leaves()
    assert leaves[:4] == ["state", "meta", "streams", COUNT]
    assert all(one.retain for one in broker.sessions[0].published[:3])
    assert broker.sessions[0].published[3].content_type == "application/vnd.msgpack"


async def test_a_takeover_is_told_and_the_agent_keeps_away_for_long(
    tmp_path: Path,
) -> None:
    waits: list[float] = []

    class Noting(Backoff):
        def wait_s(self, error: BaseException | None, now_s: float) -> float:
            waits.append(super().wait_s(error, now_s))
            return 0.1

    backoff = Noting(asyncio.get_running_loop().time())

    def take_over(session: Session, publish: Message) -> int | None:
        if publish.leaf == "streams" and len(broker.sessions) == 1:
            asyncio.get_running_loop().call_soon(session.disconnect, 0x8E)
        return 0

    async with ScriptedBroker(answer=take_over) as broker, gateway(tmp_path, broker.url, backoff=backoff):
        await until(lambda: bool(broker.events("client_id_conflict")))
    assert len(waits) == 1
    assert 60 <= waits[0] <= 120
    assert broker.events("client_id_conflict")[0]["client_id"] == "pos-1"


async def test_a_late_will_is_answered_with_the_true_state(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url):
        await introduced(broker)
        will = broker.sessions[0].will
        assert will is not None
        broker.say(will.topic, will.payload)
        await until(lambda: json.loads(broker.retained[TOPICS.state])["online"])
    states = [one.message for one in broker.published() if one.leaf == "state"]
    assert [state["reason"] for state in states] == ["start", "start", "shutdown"]


async def test_a_state_that_another_keeps_writing_is_answered_calmly(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url) as running:
        await introduced(broker)
        for count in range(50):
            broker.say(TOPICS.state, b'{"v":1,"online":false,"gen":%d}' % count)
        running.measure("count-1", 1)
        await running.settled()
        leaves = broker.sessions[0].leaves()
    assert leaves.count("state") == 2


async def test_the_will_bears_its_sessions_generation_and_generations_rise(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker:
        for start in (1, 3):
            async with hurried(tmp_path, broker):
                await introduced(broker, start)
                broker.sessions[-1].writer.close()
                await introduced(broker, start + 1)
    wills = [json.loads(one.will.payload) for one in broker.sessions if one.will]
    assert len(wills) == len(broker.sessions) == 4
    for will, one in zip(wills, broker.sessions, strict=True):
        assert one.will is not None
        assert (one.will.topic, one.will.retain) == (TOPICS.state, True)
        states = [publish.message for publish in one.published if publish.leaf == "state"]
        assert (will["online"], will["reason"], will["gen"]) == (False, "lwt", states[0]["gen"])
        assert states[0]["online"]
    generations = [will["gen"] for will in wills]
    assert generations == sorted(set(generations))


async def test_a_stop_leaves_the_last_streams_and_an_offline_state(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url) as running:
        await introduced(broker)
        running.measure("count-1", 1, 2, 3)
    assert broker.sessions[0].leaves()[-3:] == [COUNT, "streams", "state"]
    assert broker.sessions[0].goodbye
    *_, streams, state = broker.sessions[0].published
    assert streams.message["streams"][COUNT] == {"first": 1, "lo": 4, "next": 4}
    assert (state.message["online"], state.message["reason"]) == (False, "shutdown")
    assert streams.retain
    assert state.retain


async def test_a_half_open_link_is_noticed_within_one_and_a_half_keepalives(tmp_path: Path) -> None:
    async with ScriptedBroker(answer_pings=False) as broker, hurried(tmp_path, broker, keepalive_s=2):
        await introduced(broker)
        quiet_s = asyncio.get_running_loop().time()
        await until(lambda: broker.sessions[0].ended, 8.0)
        assert broker.sessions[0].ended_s - quiet_s <= 1.5 * 2 + 1.0
        assert broker.sessions[0].pings == 1


async def test_an_answered_ping_keeps_a_quiet_link(tmp_path: Path) -> None:
    async with ScriptedBroker() as broker, gateway(tmp_path, broker.url, keepalive_s=2):
        await until(lambda: bool(broker.sessions) and broker.sessions[0].pings >= 2, 10.0)
        assert len(broker.sessions) == 1
