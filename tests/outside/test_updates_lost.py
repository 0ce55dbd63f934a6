"""Trust, drivers and records that are lost or come back: the gateway goes on with what is left."""

import pytest

from tests.outside.update_city import LOAD, MORE, City
from tests.support import foreign_driver
from tests.support.mosquitto import until


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
