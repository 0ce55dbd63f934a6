"""Commands through a real broker: each once, answered, and a hole at a subscriber is healed."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from agent.delivery import wire
from agent.fleet.gap_ledger import Ledger, StreamId
from agent.fleet.io import signing_key
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support.agent_process import BASE, GATEWAY, ROOT, AgentProcess, configuration, gardu, sensor
from tests.support.maintainer import Maintainer
from tests.support.maintainers_page import run_block
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder
from tests.support.shim_agent import ShimmedChip


def asked(identity: str, seconds: float = 60.0, **arguments: Any) -> bytes:
    return json.dumps({"id": identity, "exp": int(1000 * (time.time() + seconds)), **arguments}).encode()


def publish(port: int, name: str, payload: bytes, retain: bool = False) -> None:
    from paho.mqtt import publish as once

    once.single(f"{BASE}/command/{name}", payload, 1, retain, "127.0.0.1", port)


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
        "expired", "rejected", "done",
    ]  # fmt: skip
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
            batches = [wire.read_batch(wire.decode(one.payload)) for one in recorder.messages
                       if one.topic.endswith("telemetry/air-1")]  # fmt: skip
            epoch, ledger = batches[0].epoch, Ledger()
            of = StreamId(GATEWAY, "telemetry/air-1", epoch)
            for batch in batches:
                numbers = [n for n in range(batch.seq, batch.seq + len(batch.rows))
                           if not any(start <= n < stop for start, stop in holes)]  # fmt: skip
                for number in numbers:
                    ledger.add(of, batch.low_water, number, number + 1, 0.0)
            ledger.close(of, 12, 0.0)
            assert ledger.tally()[of].missing == sum(stop - start for start, stop in holes)
            before = len(recorder.messages)
            for start, stop in holes:
                status, out, _ = await gardu(
                    "command", GATEWAY, "resend", "stream=telemetry/air-1", f'ep="{epoch}"', f"from={start}",
                    f"to={stop - 1}", "--broker", mosquitto.url,
                )  # fmt: skip
                assert (status, json.loads(out)["result"]) == (0, {"sent": stop - start, "gone": 0})

            def again() -> list[wire.Batch]:
                later = [wire.read_batch(wire.decode(one.payload)) for one in recorder.messages[before:]
                         if one.topic.endswith("telemetry/air-1")]  # fmt: skip
                return [batch for batch in later if batch.late]

            await until(lambda: sum(len(batch.rows) for batch in again()) == sum(b - a for a, b in holes))
            for batch in again():
                ledger.add(of, 1, batch.seq, batch.seq + len(batch.rows), 0.0)
            assert ledger.tally()[of].missing == 0
            await agent.stop()


async def test_a_guarded_command_must_be_signed_for_this_gateway(tmp_path: Path) -> None:
    maintainer, stranger = Maintainer(tmp_path / "keys"), Maintainer(tmp_path / "stranger")
    (tmp_path / "trust.json").write_bytes(maintainer.trust())
    device = model("sds011")
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with SimulatedDevice(device, link=tmp_path / "tty") as dust:
            text = configuration(mosquitto.url, [sensor("air-1", "sds011", dust.port)])
            async with AgentProcess(tmp_path, text + '[commands]\nallow = ["restart"]\n') as agent:
                await agent.told("connected")
                ask = ("command", GATEWAY, "restart", "sensor=air-1", "--broker", mosquitto.url)
                status, out, _ = await gardu(*ask)
                assert (status, json.loads(out)["detail"]) == (1, "it must be signed")
                status, out, _ = await gardu(*ask, "--key", str(stranger.key_file("command")))
                assert (status, json.loads(out)["status"]) == (1, "rejected")
                status, out, _ = await gardu(*ask, "--key", str(maintainer.key_file("config")))
                assert (status, json.loads(out)["status"]) == (1, "rejected"), "a key of another role"
                status, out, _ = await gardu(*ask, "--key", str(maintainer.key_file("command")))
                assert (status, json.loads(out)["status"]) == (0, "done")
                elsewhere = maintainer.command({"id": "e1", "exp": int(1000 * time.time()) + 60_000, "sensor": "air-1",
                                                "command": "restart", "gateway": "pos-2"})  # fmt: skip
                publish(mosquitto.port, "restart", elsewhere)
                await until(lambda: any(one.topic.endswith("/reply/e1") for one in recorder.messages))
                await agent.stop()
    (reply,) = [json.loads(one.payload) for one in recorder.messages if one.topic.endswith("/reply/e1")]
    assert reply["status"] == "rejected"


async def test_an_output_is_switched_once_for_each_command_and_only_if_it_is_one(tmp_path: Path) -> None:
    maintainer = Maintainer(tmp_path / "keys")
    (tmp_path / "trust.json").write_bytes(maintainer.trust())
    chip = ShimmedChip(tmp_path)
    siren = sensor("siren-1", "gpio_out", more=f'chip = "{chip.device}"\nline = {chip.line}\n')
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        text = configuration(mosquitto.url, [siren, sensor("load", "system")]) + '[commands]\nallow = ["output"]\n'
        async with AgentProcess(tmp_path, text, chip.packages, chip.environ) as agent:

            async def switch(*arguments: str) -> tuple[str, str]:
                key = str(maintainer.key_file("command"))
                asked = ("command", GATEWAY, "output", *arguments, "--broker", mosquitto.url, "--key", key)
                _, out, _ = await gardu(*asked)
                return json.loads(out)["status"], json.loads(out)["detail"]

            await until(lambda: recorder.rows("telemetry/siren-1")[:1] != [])
            assert chip.level == "0"
            for value, level in (("1", "1"), ("0", "0"), ("true", "1")):
                assert await switch("sensor=siren-1", f"value={value}") == ("done", "")
                await until(lambda level=level: chip.level == level)
            await until(lambda: len(recorder.rows("telemetry/siren-1")) == 4)
            assert [row["state"] for row in recorder.rows("telemetry/siren-1")] == [False, True, False, True]
            wrong = {
                ("sensor=siren-1", "value=2"): "value must be 0 or 1",
                ("sensor=siren-1",): "value must be 0 or 1",
                ("sensor=load", "value=0"): "load is no output",
                ("sensor=siren-9", "value=0"): "there is no sensor siren-9",
                ("value=0",): "sensor is missing or no text",
            }
            for arguments, detail in wrong.items():
                assert await switch(*arguments) == ("failed", detail)
            assert chip.level == "1"

            expires = int(1000 * time.time()) + 60_000
            again = maintainer.command({"id": "o1", "exp": expires, "sensor": "siren-1", "value": 1,
                                        "command": "output", "gateway": GATEWAY})  # fmt: skip

            def replies() -> list[Any]:
                return [json.loads(one.payload) for one in recorder.messages if one.topic == f"{BASE}/reply/o1"]

            publish(mosquitto.port, "output", again)
            await until(lambda: bool(replies()))
            await agent.kill()
            await agent.start()
            await until(lambda: agent.count("connected") == 2 and len(recorder.rows("telemetry/siren-1")) == 6)
            publish(mosquitto.port, "output", again)
            await until(lambda: len(replies()) == 2)
            assert (replies()[1]["status"], replies()[1]["detail"]) == ("done", "it was carried out before")
            assert chip.level == "0", "off since the start, and not switched again"
            await agent.stop()


async def test_a_plan_tells_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    maintainer, stranger = Maintainer(tmp_path / "keys"), Maintainer(tmp_path / "stranger")
    (tmp_path / "trust.json").write_bytes(maintainer.trust())
    file = tmp_path / "envelope.json"
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        load = sensor("load", "system", more="interval_s = 1")
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [load, sensor("old", "system")])) as agent:
            await agent.told("connected")
            await until(lambda: bool(recorder.last("config/reported")))

            async def plan(envelope: bytes) -> tuple[int, str, Any]:
                file.write_bytes(envelope)
                asked = ("command", GATEWAY, "plan", f"envelope=@{file}", "--broker", mosquitto.url)
                status, out, err = await gardu(*asked)
                assert err == ""
                reply = json.loads(out)
                return status, reply["status"], reply["result"]

            remote = {"broker": {"url": mosquitto.url}, "publish": {"max_delay_s": 0.5, "max_rows": 9}}
            sensors = [{"id": name, "driver": "system", "interval_s": 1} for name in ("load", "new")]
            good = maintainer.configuration(3, {**remote, "sensor": sensors}, confirm_s=2)
            before = {one.name: one.read_bytes() for one in (agent.state / "config").iterdir()}
            status, word, result = await plan(good)
            digest = result.pop("hash")
            assert (status, word, result) == (0, "done", {
                "version": 3, "added": ["new"], "removed": ["old"], "changed": [], "reconnect": True,
                "paths": ["publish.max_rows"],
                "drift": [],
            })  # fmt: skip
            long = maintainer.configuration(4, {**remote, "sensor": [
                {"id": f"s-{number}", "driver": "system", "label": "x" * 200} for number in range(180)
            ]})  # fmt: skip
            assert len(long) > 60_000
            assert len((await plan(long))[2]["added"]) == 180
            for envelope, code, path in (
                (stranger.configuration(3, {**remote, "sensor": sensors}), "wrong_key", ""),
                (maintainer.configuration(3, {**remote, "gateway": {"id": "x"}}), "local_key", "gateway"),
                (maintainer.configuration(3, {**remote, "sensor": [{"id": "a", "driver": "nothing"}]}),
                 "driver_unknown", "sensor.a.driver"),
                (b"no envelope", "malformed", ""),
            ):  # fmt: skip
                status, word, refusal = await plan(envelope)
                assert (status, word, refusal["code"], refusal["path"]) == (1, "failed", code, path)
            assert {one.name: one.read_bytes() for one in (agent.state / "config").iterdir()} == before
            assert recorder.last("config/reported")["version"] == 0
            from paho.mqtt import publish as once

            once.single(f"{BASE}/config/desired", good, 1, True, "127.0.0.1", mosquitto.port)
            await until(lambda: recorder.last("config/reported")["state"] == "confirmed"
                        and recorder.last("config/reported")["version"] == 3, 15.0)  # fmt: skip
            assert recorder.last("config/reported")["hash"] == digest
            _, _, result = await plan(good)
            assert {name: result[name] for name in ("added", "removed", "changed", "reconnect", "paths")} == {
                "added": [], "removed": [], "changed": [], "reconnect": False, "paths": [],
            }  # fmt: skip
            await agent.stop()


async def test_the_page_for_maintainers_shows_what_a_plan_and_a_switched_output_print(tmp_path: Path) -> None:
    maintainer, chip, device = Maintainer(tmp_path / "keys"), ShimmedChip(tmp_path), model("sds011")
    (tmp_path / "trust.json").write_bytes(maintainer.trust())
    shutil.copy(maintainer.key_file("command"), tmp_path / "ayu.key")
    signing_key.create(tmp_path / "budi.key")
    siren = sensor("siren-1", "gpio_out", more=f'chip = "{chip.device}"\nline = {chip.line}\n')
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with SimulatedDevice(device, link=tmp_path / "tty") as dust:
            sensors = [sensor("air-1", "sds011", dust.port, "interval_s = 10"), siren]
            text = configuration(mosquitto.url, sensors) + '[commands]\nallow = ["output"]\n'
            air = {"id": "air-1", "driver": "sds011", "port": dust.port, "interval_s": 30}
            remote = {"broker": {"url": mosquitto.url}, "publish": {"max_delay_s": 0.5}, "sensor": [air]}
            target = {"gateways": ["batua-01"]}
            (tmp_path / "batua-01.json").write_bytes(maintainer.configuration(1, remote, target=target))
            text = text.replace(f'id = "{GATEWAY}"', 'id = "batua-01"')
            async with AgentProcess(tmp_path, text, chip.packages, chip.environ) as agent:
                await until(lambda: recorder.rows("telemetry/siren-1") != [] and recorder.last("config/reported"))
                section = (ROOT / "docs" / "maintainers.md").read_text("utf-8").split("## Commands")[1]
                script, shown = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", section, flags=re.DOTALL)[0]
                await run_block(script, shown, tmp_path, mosquitto.url)
                await until(lambda: chip.level == "1")
                await agent.stop()
