import asyncio
import os
import termios
import tty
from collections.abc import Iterator

import pytest

from drivers.sdk.bus import ModbusDriver, ModbusRead
from drivers.sdk.contract import LineSettings, Measurement
from drivers.sdk.modbus import refusal, request
from drivers.sim.modbus import SimulatedModbus, SimulatedUnit
from drivers.sim.models import shipped_profile

ENERGY = ModbusRead(4, 0, 10)
VOLTAGE = ModbusRead(4, 0, 2)


class Master:
    """The agent's side of the line."""

    def __init__(self, port: str, speed: int = termios.B9600) -> None:
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = speed
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    async def ask(self, unit: int, read: ModbusRead) -> bytes:
        """The answer; empty where none comes within a moment."""
        os.write(self.fd, request(unit, read))
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self.fd, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), 0.2)
        except TimeoutError:
            return b""
        finally:
            loop.remove_reader(self.fd)
        return os.read(self.fd, 512)


@pytest.fixture
def masters() -> Iterator[list[Master]]:
    opened: list[Master] = []
    yield opened
    for master in opened:
        os.close(master.fd)


def connected(line: SimulatedModbus, masters: list[Master], speed: int = termios.B9600) -> Master:
    masters.append(Master(line.port, speed))
    return masters[-1]


async def test_each_unit_answers_for_itself_and_a_silent_one_does_not(masters: list[Master]) -> None:
    units = {1: SimulatedUnit("pzem004t"), 2: SimulatedUnit("sdm120"), 3: SimulatedUnit("pzem004t")}
    async with SimulatedModbus(units, silent=[3]) as line:
        master = connected(line, masters)

        for unit, profile, read in ((1, "pzem004t", ENERGY), (2, "sdm120", VOLTAGE)):
            driver = shipped_profile(profile).driver
            decoder = driver.decoder({})
            items = [*decoder.feed(await master.ask(unit, read), 0), *decoder.finish(0)]
            assert isinstance(items[0], Measurement)
            assert items[0].values["voltage"] == pytest.approx({1: 221.4, 2: 229.5}[unit])
        assert await master.ask(3, ENERGY) == b""
        assert await master.ask(4, ENERGY) == b""

    assert [unit for unit, _ in line.requests] == [1, 2, 3, 4]
    assert [unit.answered for unit in units.values()] == [1, 1, 0]


async def test_noise_around_answers_is_sent_and_skipped(masters: list[Master]) -> None:
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}, before=b"\x00", after=b"\xff\x00") as line:
        answer = await connected(line, masters).ask(1, ENERGY)
    driver = shipped_profile("pzem004t").driver
    assert isinstance(driver, ModbusDriver)
    decoder = driver.decoder({})

    assert answer[0] == 0
    assert isinstance(decoder.feed(answer, 0)[0], Measurement)


async def test_what_a_unit_does_not_have_it_refuses(masters: list[Master]) -> None:
    async with SimulatedModbus({1: SimulatedUnit("pzem004t")}) as line:
        master = connected(line, masters)

        assert await master.ask(1, ModbusRead(4, 9, 2)) == refusal(1, ModbusRead(4, 9, 2), 2)
        assert await master.ask(1, ModbusRead(1, 0, 1)) == refusal(1, ModbusRead(1, 0, 1), 1)


async def test_values_change_with_every_answer(masters: list[Master]) -> None:
    unit = SimulatedUnit("senseair_s8", lambda number: {"co2": 500 + number})
    async with SimulatedModbus({254: unit}) as line:
        master = connected(line, masters)
        answers = [await master.ask(254, ModbusRead(4, 3, 1)) for _ in range(3)]

    assert [int.from_bytes(answer[3:5], "big") for answer in answers] == [500, 501, 502]


async def test_a_wrong_line_rate_gives_noise(masters: list[Master]) -> None:
    async with SimulatedModbus({1: SimulatedUnit("sdm120")}, line=LineSettings(2400)) as line:
        wrong = await connected(line, masters).ask(1, VOLTAGE)
        right = await connected(line, masters, termios.B2400).ask(1, VOLTAGE)

    decoder = shipped_profile("sdm120").driver.decoder({})
    assert len(wrong) == len(right)
    assert not [item for item in (*decoder.feed(wrong, 0), *decoder.finish(0)) if isinstance(item, Measurement)]


def test_only_a_modbus_device_can_be_a_unit() -> None:
    with pytest.raises(LookupError, match="sds011 is not a Modbus device"):
        SimulatedUnit("sds011")
