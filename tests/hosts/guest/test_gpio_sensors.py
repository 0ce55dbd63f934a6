"""Sensors on GPIO lines with a real store, over gpio-sim or the shim."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from agent.base.io.clock import Clock
from agent.base.io.worker import Worker
from agent.base.reading import Row, Stamp
from agent.config.io.catalog import Catalog
from agent.config.settings import Sensor
from agent.sensing.context import LoopTime, SensorContext
from agent.sensing.factory import sensor_runner
from agent.sensing.io.gpio_lines import GpioLineSettings, GpioLink
from agent.sensing.sources.gpio import LineRequest
from agent.store.store import Store
from tests.support.gpio_chips import Chip, Chips, only_the_shim

CONTACT, OTHER = 3, 4
AGENT = "event/_agent"


class Wiring:
    """The sensors' way to the chips of the test."""

    def __init__(self, devices: Path) -> None:
        self._devices = devices
        self._clock = Clock()
        self.links: list[GpioLink] = []

    def worker(self, name: str) -> Worker:
        return Worker(name)

    def now(self) -> Stamp:
        return self._clock.now()

    def open_lines(self, chip: str, lines: Mapping[str, LineRequest], output: int | None) -> GpioLink:
        asked = {role: GpioLineSettings(*one) for role, one in lines.items()}
        self.links.append(GpioLink.open(chip, asked, output, self._devices))
        return self.links[-1]


class Bench:
    """One sensor on the chip ``bench``, and the store behind it."""

    def __init__(self, store: Store, chips: Chips, settings: Sensor) -> None:
        self.store = store
        self.wiring = Wiring(chips.devices)
        driver = Catalog(chips.devices / "no-profiles").get(settings.driver)
        context = SensorContext(store, self.wiring.now, self.wiring.worker, LoopTime())
        self.sensor = sensor_runner(settings, driver, context, self.wiring)

    async def rows(self, stream: str) -> list[Row]:
        await self.store.flush()
        if stream not in self.store.accounts:
            return []
        ((*rows,),) = await self.store.read([(stream, 1, 1_000_000, 1_000_000)])
        return rows

    async def bodies(self, stream: str) -> list[dict[str, Any]]:
        return [msgpack.unpackb(row.body) for row in await self.rows(stream)]

    async def latest(self) -> dict[str, Any]:
        """The last telemetry row; empty before the first."""
        return (await self.bodies("telemetry/one") or [{}])[-1]

    async def listening(self, times: int = 1) -> None:
        """Wait until the lines were opened so many times."""
        await eventually(self._opened, times)

    async def _opened(self) -> int:
        return len(self.wiring.links)

    async def told(self) -> list[tuple[str, object]]:
        """The agent's own events about the sensor: what, and why."""
        return [(row["ev"], row.get("why")) for row in await self.bodies(AGENT)]


async def eventually(found: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Wait until something is as it should be; the assertion shows what it was at last."""
    last = None
    try:
        async with asyncio.timeout(10):
            while (last := await found()) != wanted:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        assert last == wanted


def settings(driver: str, **more: Any) -> Sensor:
    return Sensor(id="one", driver=driver, chip="bench", line="CONTACT", **more)


def pulse(chip: Chip) -> None:
    chip.pull((CONTACT, 1))
    chip.pull((CONTACT, 0))


@asynccontextmanager
async def running(store_path: Path, chips: Chips, sensor: Sensor) -> AsyncIterator[Bench]:
    """The sensor at work; at the end it stops and the store is closed, as when the agent stops."""
    store = await Store.open(store_path, 10_000_000, 0.05, "b0070000", "", Clock().now)
    bench = Bench(store, chips, sensor)
    task = asyncio.create_task(bench.sensor.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await store.close(5)


@pytest.fixture
def chip(chips: Chips) -> Chip:
    return chips.add("bench", names={CONTACT: "CONTACT", OTHER: "OTHER"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_a_contact_tells_each_change_at_the_time_of_its_edge(path: Path, chips: Chips, chip: Chip) -> None:
    async with running(path, chips, settings("gpio_in")) as bench:
        await bench.listening()
        moments = [bench.wiring.now().mono_ms]
        for level in (1, 0, 1):
            chip.pull((CONTACT, level))
            time.sleep(0.06)  # noqa: ASYNC251 - the agent is late, and the contact is still, as the kernel wants it
            moments.append(bench.wiring.now().mono_ms)
        await asyncio.sleep(0.1)
        rows = await bench.rows("event/one")
        assert [msgpack.unpackb(row.body)["ev"] for row in rows] == ["on", "off", "on"]
        for row, before_ms, after_ms in zip(rows, moments, moments[1:], strict=False):
            assert before_ms - 1 <= row.mono_ms <= after_ms + 1
        assert await bench.bodies("telemetry/one") == [{"state": False}], "how it stood at the start"


async def test_a_count_goes_on_after_a_restart(path: Path, chips: Chips, chip: Chip) -> None:
    counted = settings("gpio_counter", interval_s=0.05)
    for pulses, total in ((5, 5), (3, 8)):
        async with running(path, chips, counted) as bench:
            await bench.listening()
            for _ in range(pulses):
                pulse(chip)
            await eventually(bench.latest, {"count": total})


@only_the_shim
async def test_pulses_that_the_kernel_dropped_are_counted_and_told(path: Path, chips: Chips, chip: Chip) -> None:
    """1100 pulses while the agent is held up; the buffer keeps 1024 edges."""
    async with running(path, chips, settings("gpio_counter", interval_s=0.05)) as bench:
        await bench.listening()
        for _ in range(1100):
            pulse(chip)
        await eventually(bench.latest, {"count": 1100})
        (lost,) = [row for row in await bench.bodies(AGENT) if row["ev"] == "rows_lost"]
        assert (lost["stream"], lost["n"], lost["why"]) == ("telemetry/one", 1100 - 1024, "edges")


async def test_two_beams_tell_who_comes_and_who_goes(path: Path, chips: Chips, chip: Chip) -> None:
    beams = settings("dual_beam", interval_s=0.05, options={"line_a": "CONTACT", "line_b": "OTHER"})
    async with running(path, chips, beams) as bench:
        await bench.listening()
        passage = ((CONTACT, 1), (OTHER, 1), (CONTACT, 0), (OTHER, 0))
        for move in (
            *passage,
            *passage,
            (OTHER, 1),
            (CONTACT, 1),
            (OTHER, 0),
            (CONTACT, 0),
            (CONTACT, 1),
            (CONTACT, 0),
        ):
            chip.pull(move)
        await eventually(bench.latest, {"in": 2, "out": 1, "aborted": 1})


@only_the_shim
async def test_a_beam_that_was_cleared_among_lost_edges_is_clear(path: Path, chips: Chips, chip: Chip) -> None:
    """The kernel drops its oldest edges: here the one that cleared beam a, before 1030 of beam b."""
    beams = settings("dual_beam", interval_s=0.05, options={"line_a": "CONTACT", "line_b": "OTHER"})
    async with running(path, chips, beams) as bench:
        await bench.listening()
        chip.pull((CONTACT, 1))
        await asyncio.sleep(0.1)
        chip.pull((CONTACT, 0))
        for number in range(1030):
            chip.pull((OTHER, (number + 1) % 2))
        await eventually(bench.latest, {"in": 0, "out": 0, "aborted": 1024 // 2})
        assert await lost_edges(bench) == 1031 - 1024 - 1
        for move in ((CONTACT, 1), (OTHER, 1), (CONTACT, 0), (OTHER, 0)):
            chip.pull(move)
        await eventually(bench.latest, {"in": 1, "out": 0, "aborted": 1024 // 2})
        assert await lost_edges(bench) == 1031 - 1024, "that of beam a shows by its next edge"


async def lost_edges(bench: Bench) -> int:
    return sum(row["n"] for row in await bench.bodies(AGENT) if row["ev"] == "rows_lost")


async def test_the_state_at_the_start_is_told_once(path: Path, chips: Chips, chip: Chip) -> None:
    async with running(path, chips, settings("gpio_in", interval_s=60)) as bench:
        await bench.listening()
        await asyncio.sleep(0.2)
        assert await bench.bodies("telemetry/one") == [{"state": False}]


async def test_an_output_is_off_from_the_start(path: Path, chips: Chips, chip: Chip) -> None:
    chip.pull((CONTACT, 1))
    async with running(path, chips, settings("gpio_out")) as bench:
        await bench.listening()
        assert chip.level(CONTACT) == 0
        await eventually(lambda: bench.bodies("telemetry/one"), [{"state": False}])


async def test_an_output_is_switched_and_off_again_when_the_sensor_ends(path: Path, chips: Chips, chip: Chip) -> None:
    chip.pull((CONTACT, 1))  # how a real line stands that nobody drives any more; the stand-in keeps the last level
    async with running(path, chips, settings("gpio_out", active_low=True)) as bench:
        await bench.listening()
        for on in (True, False, True):
            await bench.sensor.switch(on)
            assert chip.level(CONTACT) == (not on)
        await eventually(lambda: bench.bodies("telemetry/one"), [{"state": one} for one in (False, True, False, True)])
    assert chip.level(CONTACT) == 1, "off: the line is active low"


async def test_a_line_in_use_is_taken_when_it_is_free(path: Path, chips: Chips, chip: Chip) -> None:
    other = GpioLink.open("bench", {"line": GpioLineSettings("CONTACT")}, None, chips.devices)
    async with running(path, chips, settings("gpio_in")) as bench:
        await eventually(bench.told, [("sensor_lost", "port")])
        other.close()
        await eventually(bench.told, [("sensor_lost", "port"), ("sensor_recovered", None)])


async def test_a_chip_that_was_unplugged_is_found_again_and_its_count_goes_on(
    path: Path, chips: Chips, chip: Chip, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told: list[tuple[str, object]] = []
    async with running(path, chips, settings("gpio_counter", interval_s=0.05)) as bench:
        for times in (1, 2):
            await bench.listening(times)
            pulse(chip)
            await eventually(bench.latest, {"count": times})
            chip.remove()
            told.append(("sensor_lost", "port"))
            await eventually(bench.told, told)
            chip = chips.add("bench", names={CONTACT: "CONTACT"})
            told.append(("sensor_recovered", None))
            await eventually(bench.told, told)
    gone = "one: chip bench disappeared: No such device"
    assert [text for text in caplog.messages if text.startswith("one: ") and "GPIO chip" not in text] == [
        gone,
        "one: recovered",
    ] * 2
