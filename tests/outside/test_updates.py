"""Whatever is sent to a gateway as its configuration, and whatever becomes of its files: it comes back."""

import pytest

from agent.base.io.atomic_files import sealed
from tests.outside.update_city import LOAD, MORE, City
from tests.support.agent_process import BASE, configuration, gardu, sensor
from tests.support.mosquitto import until

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


async def test_two_hundred_sensors_without_a_pause_are_refused_and_nothing_restarts(city: City) -> None:
    city.push(1, *(LOAD | {"id": f"load-{number}", "interval_s": 0.001} for number in range(200)))
    report = await city.report(1, "rejected")
    assert (report["cause"]["code"], report["cause"]["path"]) == ("schema", "sensor.load-0.interval_s")
    assert report["running"]["version"] == 0
    await city.samples()


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
