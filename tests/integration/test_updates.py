"""Configurations over MQTT: tried, kept, or taken back by the gateway itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support import foreign_driver
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import Mosquitto, free_port, until
from tests.support.mqtt_caller import Caller
from tests.support.recorder import Recorder
from tests.support.update_reports import UpdateReports


class City(UpdateReports):
    """A broker, a gateway with two dust sensors of which one is configured, and a maintainer."""

    def __init__(self, folder: Path, mosquitto: Mosquitto, recorder: Recorder) -> None:
        self.folder = folder
        self.mosquitto = mosquitto
        self.recorder = recorder
        self.maintainer = Maintainer(folder / "keys")
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self.ports = [folder / "tty-a", folder / "tty-b"]
        text = configuration(mosquitto.url, [sensor("air-a", "sds011", self.ports[0])])
        packages = folder / "packages"
        for name, code in (("faulty", foreign_driver.RAISES), ("asleep", foreign_driver.BLOCKS_IN_ITS_READER)):
            foreign_driver.install(packages, name, code)
        self.agent = AgentProcess(folder, text, packages)

    def sensors(self, *names: str, **more: Any) -> list[dict[str, Any]]:
        """``[[sensor]]`` entries: ``a`` and ``b`` are there, any other has no port that exists."""
        places = {"a": self.ports[0], "b": self.ports[1]}
        return [
            {"id": f"air-{name}", "driver": "sds011", "port": str(places.get(name, self.folder / "no-tty")), **more}
            for name in names
        ]

    def push(self, version: int, config: dict[str, Any], confirm_s: float = 3, **more: Any) -> None:
        """Publish a signed configuration, retained. The broker and quick batches are in it unless it says otherwise."""
        whole = {"broker": {"url": self.mosquitto.url}, "publish": {"max_delay_s": 0.2}, **config}
        self.publish(self.maintainer.configuration(version, whole, confirm_s=confirm_s, **more))

    def publish(self, payload: bytes) -> None:
        from paho.mqtt import publish as once

        once.single(f"{BASE}/config/desired", payload, 1, True, "127.0.0.1", self.mosquitto.port)

    @property
    def reported(self) -> dict[str, Any]:
        return self.recorder.last("config/reported") or {}

    def numbers(self, name: str) -> int:
        return len(self.recorder.rows(f"telemetry/air-{name}"))


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    device = model("sds011")
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        city = City(tmp_path, mosquitto, recorder)
        count = iter(range(1_000_000))
        async with (
            SimulatedDevice(
                device,
                period_s=0.1,
                link=city.ports[0],
                values=lambda number: {"pm2_5": (next(count) % 9000) / 10, "pm10": 1.0},
            ),
            SimulatedDevice(device, period_s=0.1, link=city.ports[1]),
            city.agent,
        ):
            await until(lambda: city.numbers("a") > 3)
            yield city


async def test_a_good_change_is_confirmed_and_what_stays_the_same_misses_nothing(city: City) -> None:
    city.push(1, {"sensor": city.sensors("a", "b")})
    report = await city.report(1, "confirmed")
    assert (report["cause"], report["running"]["version"], report["drift"]) == (None, 1, [])
    await until(lambda: city.numbers("b") > 3)
    # The unchanged sensor of the file is written otherwise there (its keys are the same): nothing is missing of it.
    city.push(2, {"sensor": [*city.sensors("a", "b"), {"id": "gateway", "driver": "system"}]})
    await city.report(2, "confirmed")
    await city.agent.stop()
    values = [round(10 * row["pm2_5"]) for row in city.recorder.rows("telemetry/air-a")]
    first = city.recorder.rows("telemetry/air-a")
    assert values == sorted(values)
    assert len(first) > 10


async def test_a_sensor_that_stays_silent_takes_the_change_back(city: City) -> None:
    city.push(1, {"sensor": city.sensors("a", "b")})
    await city.report(1, "confirmed")
    city.push(2, {"sensor": city.sensors("a", "x")})
    await city.report(2, "probation")
    report = await city.report(2, "rolled_back")
    assert report["cause"] == {"code": "sensor", "message": "no good reading from air-x", "path": "sensor.air-x"}
    assert report["running"]["version"] == 1
    before = city.numbers("b")
    await until(lambda: city.numbers("b") > before + 3)
    assert any(row["ev"] == "config_rolled_back" for row in city.recorder.rows("event/_agent"))
    city.publish(city.maintainer.configuration(1, {}))
    assert (await city.report(1, "rejected"))["cause"]["code"] == "rollback"


async def test_a_sensor_that_is_not_required_may_be_silent(city: City) -> None:
    city.push(1, {"sensor": city.sensors("a") + city.sensors("x", required=False)})
    await city.report(1, "confirmed")


@pytest.mark.parametrize("driver", ["faulty", "asleep"])
async def test_a_driver_that_crashes_or_hangs_takes_the_change_back(city: City, driver: str) -> None:
    bad = {"id": "bad", "driver": driver}
    port = {"port": str(city.ports[1])} if driver == "faulty" else {}
    city.push(1, {"sensor": [*city.sensors("a"), {**bad, **port}]})
    report = await city.report(1, "rolled_back")
    assert report["cause"]["path"] == "sensor.bad"
    before = city.numbers("a")
    await until(lambda: city.numbers("a") > before + 3)


async def test_a_card_reader_that_nobody_uses_is_confirmed_by_its_port(city: City) -> None:
    async with SimulatedDevice(model("rdm6300"), period_s=3600, link=city.folder / "tty-cards"):
        city.push(
            1,
            {
                "sensor": [
                    *city.sensors("a"),
                    {"id": "cards", "driver": "rdm6300", "port": str(city.folder / "tty-cards")},
                ]
            },
            confirm_s=600,
        )
        await city.report(1, "confirmed")
    city.push(
        2, {"sensor": [*city.sensors("a"), {"id": "gate", "driver": "rdm6300", "port": str(city.folder / "no-cards")}]}
    )
    assert (await city.report(2, "rolled_back"))["cause"]["path"] == "sensor.gate"


async def test_a_broker_that_does_not_answer_is_left_again(city: City) -> None:
    city.push(1, {"broker": {"url": f"mqtt://127.0.0.1:{free_port()}"}, "sensor": city.sensors("a")}, confirm_s=2)
    report = await city.report(1, "rolled_back", 40)
    assert report["cause"]["code"] == "broker"
    before = city.numbers("a")
    await until(lambda: city.numbers("a") > before + 3)


async def test_a_broker_that_is_away_for_all_only_makes_it_wait(city: City) -> None:
    city.mosquitto.stop()
    await city.agent.told("closed the connection")
    # Nothing can come from outside now: the technician edits.
    city.agent.file.write_text(city.agent.file.read_text() + sensor("air-b", "sds011", city.ports[1]))
    city.agent.hang_up()
    await city.agent.told("reloaded the configuration")
    await asyncio.sleep(4)
    city.mosquitto.start()
    await city.report(0, "confirmed", 40)
    await until(lambda: city.numbers("b") > 3)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("garbage", "malformed"),
        ("stranger", "wrong_key"),
        ("other", "target"),
        ("local", "local_key"),
        ("driver", "driver_unknown"),
        ("old", "expired"),
        ("jump", "jump"),
    ],
)
async def test_what_is_refused_is_told_by_its_code_and_changes_nothing(city: City, name: str, code: str) -> None:
    stranger = Maintainer(city.folder / "stranger")
    config = {"broker": {"url": city.mosquitto.url}, "sensor": city.sensors("a", "b")}
    old = {"issued": "2024-01-01T00:00:00Z", "expires": "2024-02-01T00:00:00Z"}
    city.publish(
        {
            "garbage": b"{not json",
            "stranger": stranger.configuration(1, config),
            "other": city.maintainer.configuration(1, config, target={"gateways": ["pos-2"]}),
            "local": city.maintainer.configuration(1, {**config, "gateway": {"id": "pos-9"}}),
            "driver": city.maintainer.configuration(1, {**config, "sensor": city.sensors("a", driver="sds01")}),
            "old": city.maintainer.configuration(1, config, **old),
            "jump": city.maintainer.configuration(2**40, config),
        }[name]
    )
    # What was verified is named by its version.
    version = {"garbage": 0, "stranger": 0, "jump": 2**40}.get(name, 1)
    report = await city.report(version, "rejected")
    assert (report["cause"]["code"], report["running"]["version"]) == (code, 0)
    before = city.numbers("a")
    await until(lambda: city.numbers("a") > before + 3)
    assert city.numbers("b") == 0
    assert "Traceback" not in "\n".join(city.agent.lines)


async def test_the_same_message_again_and_again_changes_and_writes_nothing(city: City) -> None:
    payload = city.maintainer.configuration(
        1, {"broker": {"url": city.mosquitto.url}, "sensor": city.sensors("a")}, confirm_s=3
    )
    city.publish(payload)
    await city.report(1, "confirmed")
    folder = city.agent.state / "config"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    reports = sum(one.topic.endswith("config/reported") for one in city.recorder.messages)
    with Caller(city.mosquitto.port, "insisting") as caller:
        for _ in range(1000):
            caller.publish(f"{BASE}/config/desired", payload, retain=True)
    seen = city.numbers("a")
    await until(lambda: city.numbers("a") > seen + 10)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert sum(one.topic.endswith("config/reported") for one in city.recorder.messages) == reports


async def test_a_gateway_killed_on_trial_goes_on_with_it_and_one_killed_too_often_goes_back(city: City) -> None:
    city.push(1, {"sensor": city.sensors("a", "x")}, confirm_s=600)
    await city.report(1, "probation")
    for _ in range(2):
        await city.agent.kill()
        before = len(city.recorder.messages)
        await city.agent.start()
        await until(
            lambda start=before: any(
                one.topic.endswith("config/reported") and json.loads(one.payload)["state"] == "probation"
                for one in city.recorder.messages[start:]
            )
        )
    await city.agent.kill()
    await city.agent.start()
    report = await city.report(1, "rolled_back")
    assert report["cause"]["code"] == "attempts"
    assert report["running"]["version"] == 0


async def test_what_the_technician_overlays_is_told_as_drift(city: City) -> None:
    (city.folder / "local.toml").write_text('[[sensor]]\nid = "air-a"\ninterval_s = 1\n')
    city.agent.hang_up()
    await until(lambda: bool(city.reported.get("drift")))
    assert city.reported["drift"] == ["sensor.air-a.interval_s"]


async def test_a_broken_file_at_the_start_leaves_the_last_good_one_running(city: City) -> None:
    await city.agent.stop()
    city.agent.file.write_text("[gateway\n")
    await city.agent.start()
    before = city.numbers("a")
    await until(lambda: city.numbers("a") > before + 3)
    assert any(row["ev"] == "config_rejected" for row in city.recorder.rows("event/_agent"))


async def test_a_gateway_that_was_away_for_hundreds_of_roots_follows_all_of_them(city: City) -> None:
    chain = city.maintainer.chain(256)
    with Caller(city.mosquitto.port, "trusting") as caller:
        caller.publish(f"{BASE}/config/trust", chain, retain=True)
        await until(lambda: city.reported.get("trust_version") == 256, 30)
        # The list is full: it goes on with the newest ones, as long as they begin where each gateway is.
        chain = city.maintainer.chain(400, first=250)
        caller.publish(f"{BASE}/config/trust", chain, retain=True)
        await until(lambda: city.reported.get("trust_version") == 400, 30)
        before = (city.agent.state / "config" / "trust.0").stat().st_mtime_ns
        caller.publish(f"{BASE}/config/trust", chain, retain=True)
    city.push(1, {"sensor": city.sensors("a", "b")})
    await city.report(1, "confirmed")
    assert (city.agent.state / "config" / "trust.0").stat().st_mtime_ns == before
