"""The ports of a running agent: opened as the configuration says now, and left to others once it names them no more."""

from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from drivers.sdk.contract import LineSettings
from drivers.sim.modbus import SimulatedModbus, SimulatedUnit
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import until
from tests.support.scripted_broker import ScriptedBroker

Place = Callable[[str, int, int], str]
NO_BROKER = "mqtt://127.0.0.1:1"


def on_bus(port: str, baud: int, units: int) -> str:
    """Units of one bus."""
    bus = f'[[bus]]\nid = "line"\nport = "{port}"\nbaud = {baud}\n'
    rest = "interval_s = 0.1\nbus = 'line'\nunit = {}"
    return bus + "".join(sensor(f"meter-{n}", "pzem004t", more=rest.format(n)) for n in range(1, units + 1))


def on_its_own(port: str, baud: int, units: int) -> str:
    """One unit with a port of its own."""
    return sensor("meter-1", "pzem004t", port, f"interval_s = 0.1\nunit = 1\nbaud = {baud}")


@pytest.mark.parametrize(("place", "count"), [(on_bus, 1), (on_bus, 2), (on_its_own, 1)])
async def test_d2_a_changed_line_rate_is_opened(tmp_path: Path, place: Place, count: int) -> None:
    units = {n: SimulatedUnit("pzem004t") for n in range(1, count + 1)}
    async with ScriptedBroker() as broker, SimulatedModbus(units, line=LineSettings(19_200)) as line:
        agent = AgentProcess(tmp_path, configuration(broker.url, [place(line.port, 9600, count)]))
        async with agent:
            await agent.told(f"meter-{count}: ")
            assert not broker.rows("telemetry/meter-1")
            agent.file.write_text(configuration(broker.url, [place(line.port, 19_200, count)]))
            agent.hang_up()
            await until(lambda: all(broker.rows(f"telemetry/meter-{n}") for n in units))


@pytest.mark.parametrize("place", [on_bus, on_its_own])
async def test_d2_a_port_that_is_named_no_more_is_left_to_other_programs(tmp_path: Path, place: Place) -> None:
    unit = SimulatedUnit("pzem004t")
    load = sensor("load", "system", more="interval_s = 1")
    async with SimulatedModbus({1: unit}) as line:
        agent = AgentProcess(tmp_path, configuration(NO_BROKER, [place(line.port, 9600, 1), load]))
        async with agent:
            await until(lambda: unit.answered > 2)
            assert not opens(line.port)
            agent.file.write_text(configuration(NO_BROKER, [load]))
            agent.hang_up()
            await until(lambda: opens(line.port))


def opens(port: str) -> bool:
    """Whether another program can open the port for itself."""
    try:
        serial.Serial(port, exclusive=True).close()
    except serial.SerialException:
        return False
    return True
