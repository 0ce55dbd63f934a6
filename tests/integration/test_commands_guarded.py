"""Commands that change or tell more: signed for this gateway, allowed by it, and carried out once."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from agent.fleet.io import signing_key
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.integration.command_messages import publish
from tests.support.agent_process import BASE, GATEWAY, ROOT, AgentProcess, configuration, gardu, sensor
from tests.support.maintainer import Maintainer
from tests.support.maintainers_page import run_block
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder
from tests.support.shim_agent import ShimmedChip


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
                elsewhere = maintainer.command(
                    {
                        "id": "e1",
                        "exp": int(1000 * time.time()) + 60_000,
                        "sensor": "air-1",
                        "command": "restart",
                        "gateway": "pos-2",
                    }
                )
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
                ("sensor=load", "value=0"): "load is not an output",
                ("sensor=siren-9", "value=0"): "there is no sensor siren-9",
                ("value=0",): "sensor is missing or not a string",
            }
            for arguments, detail in wrong.items():
                assert await switch(*arguments) == ("failed", detail)
            assert chip.level == "1"

            expires = int(1000 * time.time()) + 60_000
            again = maintainer.command(
                {"id": "o1", "exp": expires, "sensor": "siren-1", "value": 1, "command": "output", "gateway": GATEWAY}
            )

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
            assert (status, word, result) == (
                0,
                "done",
                {
                    "version": 3,
                    "added": ["new"],
                    "removed": ["old"],
                    "changed": [],
                    "reconnect": True,
                    "paths": ["publish.max_rows"],
                    "drift": [],
                },
            )
            long = maintainer.configuration(
                4,
                {
                    **remote,
                    "sensor": [{"id": f"s-{number}", "driver": "system", "label": "x" * 200} for number in range(180)],
                },
            )
            assert len(long) > 60_000
            assert len((await plan(long))[2]["added"]) == 180
            for envelope, code, path in (
                (stranger.configuration(3, {**remote, "sensor": sensors}), "wrong_key", ""),
                (maintainer.configuration(3, {**remote, "gateway": {"id": "x"}}), "local_key", "gateway"),
                (
                    maintainer.configuration(3, {**remote, "sensor": [{"id": "a", "driver": "nothing"}]}),
                    "driver_unknown",
                    "sensor.a.driver",
                ),
                (b"no envelope", "malformed", ""),
            ):
                status, word, refusal = await plan(envelope)
                assert (status, word, refusal["code"], refusal["path"]) == (1, "failed", code, path)
            assert {one.name: one.read_bytes() for one in (agent.state / "config").iterdir()} == before
            assert recorder.last("config/reported")["version"] == 0
            from paho.mqtt import publish as once

            once.single(f"{BASE}/config/desired", good, 1, True, "127.0.0.1", mosquitto.port)
            await until(
                lambda: (
                    recorder.last("config/reported")["state"] == "confirmed"
                    and recorder.last("config/reported")["version"] == 3
                ),
                15.0,
            )
            assert recorder.last("config/reported")["hash"] == digest
            _, _, result = await plan(good)
            assert {name: result[name] for name in ("added", "removed", "changed", "reconnect", "paths")} == {
                "added": [],
                "removed": [],
                "changed": [],
                "reconnect": False,
                "paths": [],
            }
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
