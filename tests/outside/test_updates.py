"""Whatever is sent to a gateway as its configuration, and whatever becomes of its files: it comes back."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.base.io.atomic_files import sealed
from tests.support import foreign_driver
from tests.support.agent_process import BASE, AgentProcess, configuration, gardu, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_packets import Publish
from tests.support.recorder import Recorder
from tests.support.scripted_broker import ScriptedBroker, Session

LOAD = {"id": "load", "driver": "system", "interval_s": 0.2}
MORE = {"id": "more", "driver": "system", "interval_s": 0.2}


class City:
    """A broker that a test commands, a gateway, and a maintainer."""

    def __init__(self, folder: Path, broker: ScriptedBroker) -> None:
        self.folder = folder
        self.broker = broker
        self.maintainer = Maintainer(folder / "keys")
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self.packages = folder / "packages"
        self.packages.mkdir()
        text = configuration(broker.url, [sensor("load", "system", more="interval_s = 0.2")], "max_delay_s = 0.1")
        self.agent = AgentProcess(folder, text, self.packages, module="tests.support.hasty_agent")

    def push(
        self,
        version: int,
        *sensors: dict[str, Any],
        broker: dict[str, Any] | None = None,
        confirm_s: float = 2,
        **more: Any,
    ) -> None:
        config = {
            "broker": broker or {"url": self.broker.url},
            "publish": {"max_delay_s": 0.1},
            "sensor": list(sensors or (LOAD,)),
        }
        self.send(self.maintainer.configuration(version, config, confirm_s=confirm_s, **more))

    def send(self, payload: bytes, leaf: str = "desired") -> None:
        self.broker.say(f"{BASE}/config/{leaf}", payload)

    @property
    def reported(self) -> dict[str, Any]:
        return json.loads(self.broker.retained.get(f"{BASE}/config/reported", b"{}"))

    async def report(self, version: int, state: str, timeout_s: float = 15.0) -> dict[str, Any]:
        def there() -> bool:
            return (self.reported.get("version"), self.reported.get("state")) == (version, state)

        try:
            await until(there, timeout_s)
        except TimeoutError:
            raise AssertionError(f"{self.reported} {self.agent.lines}") from None
        return self.reported

    async def samples(self, name: str = "load") -> None:
        """It is there, and goes on sampling."""
        before = len(self.broker.rows(f"telemetry/{name}"))
        await until(lambda: len(self.broker.rows(f"telemetry/{name}")) > before + 1)
        assert self.agent.running()

    @property
    def kept(self) -> Path:
        """Where the agent keeps its configurations."""
        return self.agent.state / "config"


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    async with ScriptedBroker() as broker:
        city = City(tmp_path, broker)
        async with city.agent:
            await until(lambda: len(broker.rows("telemetry/load")) > 1)
            yield city


BAD_URLS = ["mqtt://..", "mqtt://a..b", "mqtt://" + "a" * 64, "mqtt://a\u2100b", "mqtt://a:0", "mqtt://u:p@a"]


async def test_04_an_address_that_no_resolver_can_take_is_refused(city: City) -> None:
    for version, url in enumerate(BAD_URLS, 1):
        city.push(version, broker={"url": [city.broker.url, url]})
        report = await city.report(version, "rejected")
        assert (report["cause"]["code"], report["cause"]["path"]) == ("schema", "broker.url[1]")
    await city.samples()
    file = city.folder / "wrong.toml"
    file.write_text(configuration("mqtt://.."))
    status, _, err = await gardu("check", str(file))
    assert (status, "broker.url" in err) == (1, True)


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
async def test_05_a_date_that_cannot_be_written_is_refused(city: City, date: str) -> None:
    for version, dates in enumerate(({"issued": date}, {"expires": date}), 1):
        before = city.broker.retained.get(f"{BASE}/config/reported")
        city.push(version, **dates)
        await until(lambda before=before: city.broker.retained.get(f"{BASE}/config/reported") != before)  # type: ignore[misc]
        assert city.reported["cause"]["code"] == "malformed"
    await city.samples()


@pytest.mark.parametrize(
    "found",
    [b'{"phase": "staged", "candidate": 7}', b'{"phase": "confirmed", "mark": {"version": "9"}}', b"[" * 9000],
    ids=["numbers", "texts", "depth"],
)
async def test_05_a_poisoned_record_is_no_crash_loop(city: City, found: bytes) -> None:
    await city.agent.stop()
    for name in ("state.0", "state.1", "trust.0", "trust.1"):
        (city.kept / name).write_bytes(sealed(found, 9))
    await city.agent.start()
    await city.samples()
    city.push(1, LOAD, MORE)
    await city.report(1, "confirmed")


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


async def test_10_trust_that_cannot_be_read_is_taken_from_the_technicians_file_again(city: City) -> None:
    await until((city.kept / "trust.1").exists)
    await city.agent.stop()
    for at in (0, 1):
        (city.kept / f"trust.{at}").write_bytes(b"\0" * 50)
    await city.agent.start()
    await city.samples()
    city.push(1, LOAD, MORE)
    await city.report(1, "confirmed")
    await city.agent.told("no copy of the trust root can be read")


async def test_10_trust_that_is_installed_again_counts_at_a_reload(city: City) -> None:
    await city.agent.stop()
    for at in (0, 1):
        (city.kept / f"trust.{at}").unlink()
    installed = (city.folder / "trust.json").read_bytes()
    (city.folder / "trust.json").unlink()
    await city.agent.start()
    await city.samples()
    city.push(1, LOAD, MORE)
    assert (await city.report(0, "rejected"))["cause"]["code"] == "no_trust"
    (city.folder / "trust.json").write_bytes(installed)
    city.agent.hang_up()
    await city.report(1, "confirmed")


FOREIGN = """
from drivers.sdk.contract import Field, Measurement, PollDriver

class Steady:
    def read(self):
        return b""
    def close(self):
        pass
    def feed(self, raw, at_s=0.0):
        return [Measurement({"n": 1})]
    def finish(self, at_s=0.0):
        return []

DRIVER = PollDriver(name="NAME", title="t", source="s", fields={"n": Field()}, period_s=0.2,
                    decoder=lambda options: Steady(), reader=lambda options: Steady())
"""


async def test_11_a_driver_that_is_missing_at_a_start_costs_its_sensors_and_nothing_else(city: City) -> None:
    await city.agent.stop()
    foreign_driver.install(city.packages, "steady", FOREIGN.replace("NAME", "steady"))
    await city.agent.start()
    city.push(1, LOAD, MORE, {"id": "far", "driver": "steady", "interval_s": 0.2})
    await city.report(1, "confirmed")
    await city.agent.stop()
    away = city.packages.rename(city.folder / "away")
    city.packages.mkdir()
    await city.agent.start()
    await until(lambda: (city.reported.get("cause") or {}).get("code") == "degraded")
    report = city.reported
    assert (report["version"], report["state"], report["running"]["version"]) == (1, "confirmed", 1)
    assert report["cause"]["path"] == "sensor.far.driver"
    await city.samples("more")
    await city.agent.stop()
    city.packages.rmdir()
    away.rename(city.packages)
    await city.agent.start()
    await until(lambda: city.reported["cause"] is None)
    await city.samples("far")


async def test_11_a_driver_that_comes_back_is_found_at_a_reload(city: City) -> None:
    await city.agent.stop()
    foreign_driver.install(city.packages, "steady", FOREIGN.replace("NAME", "steady"))
    await city.agent.start()
    city.push(1, LOAD, {"id": "far", "driver": "steady", "interval_s": 0.2})
    await city.report(1, "confirmed")
    await city.agent.kill()
    away = city.packages.rename(city.folder / "away")
    city.packages.mkdir()
    await city.agent.start()
    await until(lambda: (city.reported.get("cause") or {}).get("code") == "degraded")
    for entry in away.iterdir():
        entry.rename(city.packages / entry.name)
    city.agent.hang_up()
    await until(lambda: city.reported["cause"] is None)
    await city.samples("far")


@pytest.mark.parametrize("found", [b"\0" * 50, None], ids=["unreadable", "gone"])
async def test_12_an_older_configuration_is_not_accepted_when_the_record_is_lost(
    city: City, found: bytes | None
) -> None:
    city.push(7, LOAD, MORE)
    await city.report(7, "confirmed")
    await city.agent.stop()
    for at in (0, 1):
        if found is None:
            (city.kept / f"state.{at}").unlink()
        else:
            (city.kept / f"state.{at}").write_bytes(found)
    await city.agent.start()
    await until(lambda: bool(city.broker.events("update_state_lost")))
    (event,) = city.broker.events("update_state_lost")
    assert (event["sev"], event["version"]) == ("alarm", 7)
    await city.report(7, "confirmed")
    city.push(6, LOAD)
    assert (await city.report(6, "rejected"))["cause"]["code"] == "rollback"
    await city.samples("more")


async def test_12_the_store_proves_the_version_when_every_other_file_is_lost(city: City) -> None:
    city.push(7, LOAD, MORE)
    await city.report(7, "confirmed")
    await city.agent.stop()
    for file in city.kept.iterdir():
        file.unlink()
    await city.agent.start()
    await until(lambda: bool(city.broker.events("update_state_lost")))
    city.push(6, LOAD)
    assert (await city.report(6, "rejected"))["cause"]["code"] == "rollback"


async def test_13_what_was_refused_for_its_date_is_looked_at_again_when_the_clock_is_set(city: City) -> None:
    await city.agent.stop()
    (city.folder / "clock").write_text(str(100 * 86_400))
    await city.agent.start()
    await city.samples()
    city.push(1, LOAD, MORE)
    assert (await city.report(1, "rejected"))["cause"]["code"] == "expired"
    (city.folder / "clock").unlink()
    await city.report(1, "confirmed")


async def test_32_a_refusal_names_what_was_refused(city: City) -> None:
    city.push(3, LOAD, MORE)
    await city.report(3, "confirmed")
    city.push(4, {"id": "x", "driver": "no-such-driver"})
    report = await city.report(4, "rejected")
    assert report["running"]["version"] == 3
    assert report["hash"] not in ("", report["running"]["hash"])
    assert report["cause"]["code"] == "driver_unknown"


@pytest.mark.parametrize("interval_s", [0, 0.001, 0.04])
async def test_32_a_polled_sensor_without_a_pause_is_refused(city: City, interval_s: float) -> None:
    city.push(1, LOAD | {"interval_s": interval_s})
    report = await city.report(1, "rejected")
    assert (report["cause"]["code"], report["cause"]["path"]) == ("schema", "sensor.load.interval_s")
    file = city.folder / "wrong.toml"
    file.write_text(configuration(city.broker.url, [sensor("load", "system", more=f"interval_s = {interval_s}")]))
    status, _, err = await gardu("check", str(file))
    assert (status, "sensor.load.interval_s" in err) == (1, True)


async def test_33_a_configuration_cannot_harvest_the_password(city: City) -> None:
    await city.agent.stop()
    secret = city.folder / "password"
    secret.write_text("geheim")
    lines = f'username = "pos-1"\npassword_file = "{secret}"\n[publish]'
    city.agent.file.write_text(city.agent.file.read_text().replace("[publish]", lines))
    await city.agent.start()
    await city.samples()
    for version, broker, code in (
        (1, {"url": "mqtt://thief.example", "username": "x"}, "schema"),
        (2, {"url": [city.broker.url, "mqtt://10.0.0.1"], "username": "x"}, "schema"),
        (3, {"url": "mqtt://thief.example", "username": "x", "allow_plain_password": True}, "local_key"),
    ):
        city.push(version, broker=broker)
        assert (await city.report(version, "rejected"))["cause"]["code"] == code
    await city.samples()


async def test_34_garbage_fills_neither_the_journal_nor_the_store(city: City) -> None:
    reported = f"{BASE}/config/reported"
    for number in range(60):
        before = city.broker.retained.get(reported)
        city.send(b"{" * (number % 3) + b"%d" % number)
        await until(lambda before=before: city.broker.retained.get(reported) != before)  # type: ignore[misc]
    for number in range(20):
        city.send(b"[%d" % number, "trust")
    await city.samples()
    codes = [row["code"] for row in city.broker.events("config_rejected")]
    assert len(codes) == len(set(codes)) <= 2
    assert city.agent.count("a configuration was rejected") <= 10
    assert city.agent.count("cannot use config/trust") <= 10
    await city.agent.stop()
    accepted = [row for row in city.agent.accepted().values() if row.get("ev") == "config_rejected"]
    assert len(accepted) == len(codes)
