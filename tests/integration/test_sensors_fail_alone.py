"""Sensors fail alone: one gateway, ten sensors, each with a trouble of its own, and a healthy one beside them.

The whole story is lived through once; each test looks at one part of what came of it.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support import foreign_driver
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.oracle import judge
from tests.support.recorder import Recorder
from tests.support.street import DRIVER, RATE_HZ, counting, street

_BACK_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Story:
    """What came of it. Times are Unix seconds. ``running``: whether the agent was still there at the end."""

    recorder: Recorder
    lines: list[str]
    faults: list[str]
    replugged: float
    powered: float
    status: int
    took_s: float

    def events(self, name: str, sensor: str) -> list[Mapping[str, Any]]:
        """The agent's events of this name about a sensor."""
        return self.recorder.events(name, sensor=sensor)

    def lines_of(self, sensor: str) -> list[str]:
        """What the agent said about a sensor."""
        return [line for line in self.lines if f" {sensor}: " in line]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(live_through(tmp_path_factory.mktemp("story")))


async def live_through(folder: Path) -> Story:
    packages = folder / "packages"
    for name, code in (
        ("stuck", foreign_driver.BLOCKS_IN_ITS_DECODER),
        ("asleep", foreign_driver.BLOCKS_IN_ITS_READER),
        ("faulty", foreign_driver.RAISES),
        ("odd", foreign_driver.GIVES_NO_NUMBERS),
        ("nonsense", foreign_driver.GIVES_NO_MEASUREMENTS),
    ):
        foreign_driver.install(packages, name, code)

    def device(name: str, values: Callable[[int], Mapping[str, Any]] | None = None) -> SimulatedDevice:
        return SimulatedDevice(model(DRIVER), values=values, period_s=1 / RATE_HZ, link=folder / f"tty-{name}")

    sensors = [
        *(sensor(name, DRIVER, folder / f"tty-{name}") for name in ("absent", "unplugged", "silent", "flooding")),
        *(sensor(name, name, folder / f"tty-{name}") for name in ("stuck", "faulty", "odd", "nonsense")),
        sensor("asleep", "asleep"),
    ]
    with Mosquitto(folder) as broker, Recorder(broker.port) as recorder:
        async with (
            street(folder, 1) as healthy,
            device("unplugged", values=counting(50)) as unplugged,
            device("silent", values=counting(51)) as silent,
            device("flooding", values=counting(52)) as flooding,
            device("stuck"),
            device("faulty"),
            device("odd"),
            device("nonsense"),
        ):
            flooding.silence()
            agent = AgentProcess(folder, configuration(broker.url, [*healthy.sensors, *sensors]), packages)
            async with agent:
                await until(lambda: len(recorder.rows("telemetry/unplugged")) > 5 or not agent.running(), 20.0)
                assert agent.running(), agent.lines
                unplugged.unplug()
                silent.silence()
                garbage = asyncio.create_task(flood(flooding))
                await until(lambda: bool(recorder.events("sensor_lost", sensor="unplugged")))
                replugged = time.time()
                unplugged.replug()
                lost = ("absent", "silent", "flooding", "stuck", "faulty", "nonsense", "asleep")
                await until(lambda: all(recorder.events("sensor_lost", sensor=name) for name in lost), 20.0)
                await until(lambda: bool(recorder.events("sensor_recovered", sensor="unplugged")))
                powered = time.time()
                silent.silence(False)
                garbage.cancel()
                await until(lambda: bool(recorder.events("sensor_recovered", sensor="silent")))
                status, took_s = await agent.stop()
            await until(lambda: recorder.last("state")["reason"] == "shutdown")
            faults = judge(recorder.messages, agent.accepted(), healthy.sent())
    return Story(recorder, agent.lines, faults, replugged, powered, status, took_s)


async def flood(device: SimulatedDevice) -> None:
    """Send garbage as fast as the port takes it."""
    while True:
        device.inject(bytes(range(256)) * 8 + b"\x42\x4d\x00\x1c" * 64)
        await asyncio.sleep(0.001)


def test_the_healthy_one_keeps_its_rhythm(story: Story) -> None:
    times = [row["t"] for row in story.recorder.rows("telemetry/dust-0")]
    assert len(times) > 5 * RATE_HZ
    longest_ms = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert longest_ms <= 2000, "what blocks does so for ever; the tests beside this one for a moment"


def test_the_healthy_one_loses_nothing_and_is_never_called_lost(story: Story) -> None:
    counts = [row["n0_3"] for row in story.recorder.rows("telemetry/dust-0")]
    assert counts == list(range(len(counts)))
    assert story.faults == []
    assert story.events("sensor_lost", "dust-0") == []


def test_an_absent_one_is_told_once(story: Story) -> None:
    assert [row["why"] for row in story.events("sensor_lost", "absent")] == ["port"]
    (line,) = story.lines_of("absent")
    assert "tty-absent does not exist" in line


def test_an_unplugged_one_is_lost_once_and_back_once_within_5_s(story: Story) -> None:
    assert [row["why"] for row in story.events("sensor_lost", "unplugged")] == ["port"]
    (back,) = story.events("sensor_recovered", "unplugged")
    assert back["t"] / 1000 - story.replugged <= _BACK_WITHIN_S


def test_a_replugged_one_is_read_again_under_its_stable_name(story: Story) -> None:
    rows = story.recorder.rows("telemetry/unplugged")
    assert {row["n10"] for row in rows} == {50}
    assert rows[-1]["t"] / 1000 > story.replugged


def test_a_silent_one_is_lost_once_and_back_once(story: Story) -> None:
    assert [row["why"] for row in story.events("sensor_lost", "silent")] == ["timeout"]
    (back,) = story.events("sensor_recovered", "silent")
    assert back["t"] / 1000 - story.powered <= _BACK_WITHIN_S


def test_one_that_floods_with_garbage_is_lost_once_and_gives_no_reading(story: Story) -> None:
    assert len(story.events("sensor_lost", "flooding")) == 1
    assert story.recorder.rows("telemetry/flooding") == []


def test_a_driver_that_raises_is_told_in_one_line_with_its_place(story: Story) -> None:
    assert [row["why"] for row in story.events("sensor_lost", "faulty")] == ["driver"]
    (line,) = story.lines_of("faulty")
    assert "a mistake of its author" in line
    assert "gardu_faulty.py" in line


@pytest.mark.parametrize("name", ["stuck", "asleep"])
def test_a_driver_that_never_returns_is_lost_alone(story: Story, name: str) -> None:
    assert [row["why"] for row in story.events("sensor_lost", name)] == ["driver"]


def test_a_driver_that_gives_no_measurements_is_lost_alone(story: Story) -> None:
    assert [row["why"] for row in story.events("sensor_lost", "nonsense")] == ["driver"]
    assert len(story.lines_of("nonsense")) == 1
    assert story.recorder.rows("telemetry/nonsense") == []


def test_a_value_that_cannot_be_sent_is_null_and_said_to_be_bad(story: Story) -> None:
    rows = story.recorder.rows("telemetry/odd")
    assert rows
    assert all((row["n"], row["q"]) == (None, {"n": "bad:format"}) for row in rows)


def test_the_agent_lives_through_it_and_stops_in_time(story: Story) -> None:
    assert (story.status, story.took_s < 5.0) == (0, True)
    assert [line for line in story.lines if "Traceback" in line] == []


async def test_a_driver_that_raises_what_ends_programs_is_lost_alone(tmp_path: Path) -> None:
    errors = {
        "leaving": "SystemExit(3)",
        "breaking": "KeyboardInterrupt",
        "cancelled": "asyncio.CancelledError",
        "over": "StopIteration",
        "forked": "BaseExceptionGroup('two', [GeneratorExit()])",
    }
    packages = tmp_path / "packages"
    for name, error in errors.items():
        foreign_driver.install(packages, name, foreign_driver.polled(name, f"raise {error}"))
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        async with street(tmp_path, 1) as healthy:
            text = configuration(broker.url, [*healthy.sensors, *(sensor(name, name) for name in errors)])
            async with AgentProcess(tmp_path, text, packages) as agent:
                await until(
                    lambda: (
                        {row["sensor"] for row in recorder.events("sensor_lost")} == {*errors} or not agent.running()
                    )
                )
                count = len(recorder.rows("telemetry/dust-0"))
                await until(lambda: len(recorder.rows("telemetry/dust-0")) > count + 5)
                assert (await agent.stop())[0] == 0
    assert agent.count("Traceback") == 0, "\n".join(agent.lines)
