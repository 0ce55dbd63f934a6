"""Ports of sensors: one for each name and line settings, open only while the running configuration names it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agent.config.settings import Broker, Bus, Config, Gateway, Sensor
from agent.sensing.io.port_registry import PortRegistry
from drivers.sdk.contract import Driver, LineSettings
from drivers.sim.pty_port import PtyPort
from tests.agent.config.config_fakes import CLIMATE, METER, PROBE
from tests.agent.fakes import FakeClock

SLOW, FAST = LineSettings(9600), LineSettings(19_200)
USUAL = Config(Gateway("batua-01", "batua", "health"), Broker("mqtt://a"))


@pytest.fixture
def registry() -> Iterator[PortRegistry]:
    registry = PortRegistry(FakeClock().stamp)
    yield registry
    registry.close()


@pytest.fixture
def pty() -> Iterator[PtyPort]:
    pty = PtyPort()
    yield pty
    pty.close()


def use(registry: PortRegistry, config: Config, kept: set[str]) -> None:
    drivers: dict[str, Driver] = {"meter": METER, "climate": CLIMATE, "probe": PROBE}
    registry.use(config, {sensor.id: drivers[sensor.driver] for sensor in config.sensor}, kept)


def named(**sensors: dict[str, Any]) -> Config:
    return replace(USUAL, sensor=tuple(Sensor(name, **{"driver": "meter", **keys}) for name, keys in sensors.items()))


async def test_a_port_is_one_for_all_that_want_it_alike(registry: PortRegistry) -> None:
    assert registry.shared_port("/dev/a", SLOW) is registry.shared_port("/dev/a", SLOW)
    assert registry.shared_port("/dev/a", SLOW) is not registry.shared_port("/dev/a", FAST)
    assert registry.shared_tcp("a:502") is registry.shared_tcp("a:502")


@pytest.mark.parametrize("on_bus", [False, True])
async def test_a_port_of_sensors_that_stopped_is_closed_and_opened_as_it_is_now(
    registry: PortRegistry, pty: PtyPort, on_bus: bool
) -> None:
    place = {"bus": "line"} if on_bus else {"port": pty.port}
    config = replace(named(mains=place), bus=(Bus("line", pty.port),))
    use(registry, config, set())
    async with registry.shared_port(pty.port, SLOW).acquire():
        assert pty.baud() == 9600
    use(registry, config, {"mains"})
    assert pty.is_open()
    use(registry, config, set())
    assert not pty.is_open()
    async with registry.shared_port(pty.port, FAST).acquire():
        assert pty.baud() == 19_200
    use(registry, USUAL, set())
    assert not pty.is_open()


async def test_a_line_stays_open_for_those_of_its_sensors_that_go_on(registry: PortRegistry, pty: PtyPort) -> None:
    config = replace(named(mains={"bus": "line"}, lamp={"bus": "line"}), bus=(Bus("line", pty.port),))
    use(registry, config, set())
    port = registry.shared_port(pty.port, SLOW)
    async with port.acquire():
        pass
    use(registry, config, {"lamp"})
    assert pty.is_open()
    assert registry.shared_port(pty.port, SLOW) is port


async def test_a_bus_is_kept_while_a_sensor_names_it(registry: PortRegistry) -> None:
    config = named(room={"driver": "climate", "i2c_bus": 3}, fridge={"driver": "probe", "w1": "28-0316a2795cff"})
    use(registry, config, set())
    i2c, w1 = registry.i2c_bus(3), registry.w1_bus()
    use(registry, config, set())
    assert (registry.i2c_bus(3), registry.w1_bus()) == (i2c, w1)
    use(registry, named(room={"driver": "climate"}), set())
    assert registry.i2c_bus(3) is not i2c
    assert registry.w1_bus() is not w1
    first = registry.i2c_bus(1)
    use(registry, named(room={"driver": "climate"}), set())
    assert registry.i2c_bus(1) is first
