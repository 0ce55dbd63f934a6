"""Commands: repeated, forged, and in a flood."""

import json
import time
from pathlib import Path
from typing import Any

from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support.agent_process import BASE, GATEWAY, AgentProcess, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_caller import Caller
from tests.support.recorder import Recorder

EXPIRES = int(1000 * time.time()) + 500_000


def replies(recorder: Recorder, identity: str) -> list[Any]:
    return [json.loads(one.payload) for one in recorder.messages if one.topic == f"{BASE}/reply/{identity}"]


async def test_25_a_repeated_command_is_answered_with_the_result_of_the_first(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [sensor("load", "system")])) as agent:
            await until(lambda: recorder.sessions() == 1)
            with Caller(mosquitto.port, "subscriber") as subscriber:
                asked = json.dumps({"id": "p1", "exp": EXPIRES}).encode()
                for count in (1, 2):
                    subscriber.publish(f"{BASE}/command/ping", asked)
                    await until(lambda count=count: len(replies(recorder, "p1")) == count)
                await agent.stop()
                await agent.start()
                await until(lambda: recorder.sessions() == 2)
                subscriber.publish(f"{BASE}/command/ping", asked)
                await until(lambda: len(replies(recorder, "p1")) == 3)
            await agent.stop()
    first, *others = replies(recorder, "p1")
    assert first["result"]["t"] > 0
    assert [one["result"] for one in others] == [first["result"]] * 2


async def test_26_unsigned_commands_neither_evict_nor_answer_a_signed_one(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "keys")
    (tmp_path / "trust.json").write_bytes(maintainer.trust())
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder, Caller(mosquitto.port, "c") as caller:

        def signed(identity: str) -> bytes:
            asked = {"id": identity, "exp": EXPIRES, "sensor": "load", "command": "restart", "gateway": GATEWAY}
            return maintainer.command(asked)

        def ping(identity: str) -> None:
            caller.publish(f"{BASE}/command/ping", json.dumps({"id": identity, "exp": EXPIRES}).encode())

        text = configuration(mosquitto.url, [sensor("load", "system")]) + '[commands]\nallow = ["restart"]\n'
        async with AgentProcess(tmp_path, text) as agent:
            await until(lambda: recorder.sessions() == 1)
            ping("s1")
            await until(lambda: len(replies(recorder, "s1")) == 1)
            caller.publish(f"{BASE}/command/restart", signed("s1"))
            await until(lambda: len(replies(recorder, "s1")) == 2)
            assert replies(recorder, "s1")[1]["detail"] == "", "the ping has not used up the id"
            for number in range(300):
                ping(f"flood-{number}")
            ping("s1")
            await until(lambda: bool(replies(recorder, "flood-29")))
            caller.publish(f"{BASE}/command/restart", signed("s1"))
            await until(
                lambda: any(
                    one["detail"] == "it was carried out before" and one["command"] == "restart"
                    for one in replies(recorder, "s1")
                )
            )
            await agent.stop()
    done = [one for one in replies(recorder, "s1") if one["command"] == "restart" and not one["detail"]]
    assert len(done) == 1


async def test_27_a_flood_of_pings_delays_neither_signed_commands_nor_live_readings(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "keys")
    (tmp_path / "trust.json").write_bytes(maintainer.trust())
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder, Caller(mosquitto.port, "c") as caller:
        async with SimulatedDevice(model("sds011"), period_s=0.1) as dust:
            text = configuration(mosquitto.url, [sensor("air-1", "sds011", dust.port)])
            async with AgentProcess(tmp_path, text + '[commands]\nallow = ["restart"]\n') as agent:
                await agent.told("connected")
                await until(lambda: len(recorder.rows("telemetry/air-1")) > 3)
                for number in range(3000):
                    caller.send(f"{BASE}/command/ping", json.dumps({"id": f"f{number}", "exp": EXPIRES}).encode())
                asked = {"id": "s1", "exp": EXPIRES, "sensor": "air-1", "command": "restart", "gateway": GATEWAY}
                caller.send(f"{BASE}/command/restart", maintainer.command(asked))
                await until(lambda: bool(replies(recorder, "s1")))
                assert replies(recorder, "s1")[0]["status"] == "done"
                count = len(recorder.rows("telemetry/air-1"))
                await until(lambda: len(recorder.rows("telemetry/air-1")) > count, 3.0)
                last_s = recorder.rows("telemetry/air-1")[-1]["t"] / 1000
                assert time.time() - last_s < 3
                answered = sum("/reply/f" in one.topic for one in recorder.messages)
                assert 0 < answered < 300
                await agent.stop()
