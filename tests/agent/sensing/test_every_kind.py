"""What holds for all six kinds of sensors alike, over real threads, ptys and files."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.io.catalog import Catalog
from drivers.sdk.contract import Presence
from tests.agent.sensing.real_ports import DRIVERS, gateway, shipped
from tests.support import foreign_driver
from tests.support.mosquitto import until

KEYS = {"serial": "pm10", "polled": "uptime", "i2c": "temp", "onewire": "temp", "modbus": "voltage", "gpio": "state"}
"""A field of each kind's shipped driver."""


@pytest.mark.parametrize("pause", ["time.sleep(0.05)", "pass"], ids=["sleeps", "spins"])
@pytest.mark.parametrize("kind", foreign_driver.KINDS)
async def test_d4_somebody_else_s_decoder_that_blocks_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, pause: str
) -> None:
    name = f"{kind}_{'spins' if pause == 'pass' else 'sleeps'}"
    code = foreign_driver.blocks_in_its_decoder(name, kind, pause)
    monkeypatch.syspath_prepend(foreign_driver.install(tmp_path / "packages", name, code))
    foreign = Catalog().get(name)
    module = sys.modules[f"gardu_{name}"]
    place = kind.removesuffix("_start")
    try:
        async with gateway(tmp_path, period_s=0.02) as one:
            one.start("blocked", foreign, place, device=1, interval_s=0.05)
            one.start("healthy", shipped(place), place, device=0, interval_s=0.05 if place != "serial" else None)
            await until(module.ENTERED.is_set)
            count = len(one.rows("healthy"))
            await until(lambda: len(one.rows("healthy")) >= count + 5)
            assert not module.LEFT.is_set(), "the neighbour had to wait until the decoder was done"
    finally:
        module.RELEASE.set()


@pytest.mark.parametrize("kind", DRIVERS)
async def test_d5_a_tag_that_leaves_is_gone_in_time_though_nothing_more_is_measured(tmp_path: Path, kind: str) -> None:
    reader = replace(shipped(kind), presence=Presence((KEYS[kind],), gone_s=0.2))
    async with gateway(tmp_path, period_s=None) as one:
        one.start("gate-1", reader, kind, device=0, interval_s=3600.0 if kind != "serial" else None)
        await until(lambda: [row["ev"] for row in one.store.bodies("event/gate-1")] == ["seen", "gone"], 5.0)
