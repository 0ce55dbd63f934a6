"""Commands through a real broker: each once, answered, and a hole at a subscriber is healed."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.delivery import wire
from agent.fleet.gap_ledger import Ledger, StreamId
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.integration.command_messages import asked, publish
from tests.support.agent_process import BASE, GATEWAY, AgentProcess, configuration, gardu, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder


async def test_gardu_command_finds_the_gateway_and_prints_its_reply(tmp_path: Path) -> None:
    device = model("sds011")
    with Mosquitto(tmp_path) as mosquitto:
        async with (
            SimulatedDevice(device, values=lambda number: {"pm2_5": 12.5, "pm10": 20.0}) as dust,
            AgentProcess(tmp_path, configuration(mosquitto.url, [sensor("air-1", "sds011", dust.port)])) as agent,
        ):
            await agent.told("connected")
            at = ("--broker", mosquitto.url)
            status, out, err = await gardu("command", GATEWAY, "ping", *at)
            assert (status, err, json.loads(out)["status"]) == (0, "", "done")
            status, out, _ = await gardu("command", GATEWAY, "read", "sensor=air-1", *at)
            assert (status, json.loads(out)["result"]) == (0, {"pm2_5": 12.5, "pm10": 20.0, "q": {}})
            status, out, _ = await gardu("command", GATEWAY, "read", "sensor=air-9", *at)
            assert (status, json.loads(out)["status"]) == (1, "failed")
            status, out, _ = await gardu("command", GATEWAY, "diagnostics", *at)
            assert json.loads(out)["result"]["sensors"]["air-1"]["lost"] is False
            for guarded in (("flush",), ("restart", "sensor=air-1"), ("output", "sensor=air-1", "value=1")):
                status, out, _ = await gardu("command", GATEWAY, *guarded, *at)
                assert (status, json.loads(out)["detail"]) == (1, "this gateway does not allow it")
            status, out, err = await gardu("command", "nobody", "ping", *at)
            assert (status, out) == (1, "")
            assert "no gateway nobody" in err


async def test_a_command_is_carried_out_once_though_it_comes_again_after_a_restart(tmp_path: Path) -> None:
    device = model("sds011")
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        allowed = '[commands]\nallow = ["restart", "flush"]\nsigned = false\n'

        def replies(identity: str) -> list[Any]:
            return [json.loads(one.payload) for one in recorder.messages if one.topic == f"{BASE}/reply/{identity}"]

        async with SimulatedDevice(device, link=tmp_path / "tty") as dust:
            text = configuration(mosquitto.url, [sensor("air-1", "sds011", dust.port)]) + allowed
            async with AgentProcess(tmp_path, text) as agent:
                await until(lambda: recorder.sessions() == 1)
                publish(mosquitto.port, "restart", asked("r1", sensor="air-1"))
                await until(lambda: bool(replies("r1")))
                await agent.kill()
                await agent.start()
                await until(lambda: recorder.sessions() == 2)
                publish(mosquitto.port, "restart", asked("r1", sensor="air-1"))
                await until(lambda: len(replies("r1")) == 2)
                publish(mosquitto.port, "ping", asked("old", seconds=-5))
                publish(mosquitto.port, "ping", asked("kept"), retain=True)
                publish(mosquitto.port, "ping", b'{"id":"../../state","exp":1}')
                publish(mosquitto.port, "dance", asked("d1"))
                publish(mosquitto.port, "flush", asked("f1"))
                await until(lambda: bool(replies("f1")))
    first, second = replies("r1")
    assert (first["status"], first["detail"]) == ("done", "")
    assert (second["status"], second["detail"]) == ("done", "it was carried out before")
    assert [one["status"] for one in (replies("old")[0], replies("d1")[0], replies("f1")[0])] == [
        "expired",
        "rejected",
        "done",
    ]
    assert recorder.last("state")["online"] is not None, "an id cannot name another topic"


@pytest.mark.parametrize("holes", [[(3, 5)], [(2, 3), (7, 9)]])
async def test_resend_heals_a_hole_at_a_subscriber(tmp_path: Path, holes: list[tuple[int, int]]) -> None:
    device = model("sds011")
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with (
            SimulatedDevice(device, period_s=0.1) as dust,
            AgentProcess(tmp_path, configuration(mosquitto.url, [sensor("air-1", "sds011", dust.port)])) as agent,
        ):
            await until(lambda: len(recorder.rows("telemetry/air-1")) >= 12)
            batches = [
                wire.parse_batch(wire.decode(one.payload))
                for one in recorder.messages
                if one.topic.endswith("telemetry/air-1")
            ]
            epoch, ledger = batches[0].epoch, Ledger()
            of = StreamId(GATEWAY, "telemetry/air-1", epoch)
            for batch in batches:
                numbers = [
                    n
                    for n in range(batch.seq, batch.seq + len(batch.rows))
                    if not any(start <= n < stop for start, stop in holes)
                ]
                for number in numbers:
                    ledger.add(of, batch.low_water, number, number + 1, 0.0)
            ledger.close(of, 12, 0.0)
            assert ledger.tally()[of].late == sum(stop - start for start, stop in holes)
            before = len(recorder.messages)
            for start, stop in holes:
                status, out, _ = await gardu(
                    "command",
                    GATEWAY,
                    "resend",
                    "stream=telemetry/air-1",
                    f'ep="{epoch}"',
                    f"from={start}",
                    f"to={stop - 1}",
                    "--broker",
                    mosquitto.url,
                )
                assert (status, json.loads(out)["result"]) == (0, {"sent": stop - start, "gone": 0})

            def again() -> list[wire.Batch]:
                later = [
                    wire.parse_batch(wire.decode(one.payload))
                    for one in recorder.messages[before:]
                    if one.topic.endswith("telemetry/air-1")
                ]
                return [batch for batch in later if batch.late]

            await until(lambda: sum(len(batch.rows) for batch in again()) == sum(b - a for a, b in holes))
            for batch in again():
                ledger.add(of, 1, batch.seq, batch.seq + len(batch.rows), 0.0)
            assert ledger.tally()[of].late == 0
            await agent.stop()
