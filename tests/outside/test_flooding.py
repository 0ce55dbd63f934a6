"""One sensor or one port that floods the gateway starves nobody else."""

import asyncio
import os
import time
import tty
from pathlib import Path

import pytest

from agent.base.io import clock
from agent.base.reading import Reading, packed, telemetry
from agent.store.store import Store
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

FRAME = bytes.fromhex("AAC0D4043A0AA1601DAB")


class Flood:
    """A pty into which these bytes are written as fast as the agent reads. ``with Flood(...) as flood``."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave
        os.set_blocking(self.master, False)
        self.written = 0

    def __enter__(self) -> "Flood":
        asyncio.get_running_loop().add_writer(self.master, self._write)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.get_running_loop().remove_writer(self.master)
        os.close(self.master)
        os.close(self._slave)

    def _write(self) -> None:
        self.written += os.write(self.master, self._raw)


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def test_37_a_flooding_sensor_keeps_to_its_budget_and_the_excess_is_counted(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder, Flood(FRAME * 400) as flood:
        async with SimulatedDevice(model("sds011"), period_s=0.1) as calm:
            text = configuration(
                mosquitto.url,
                [sensor("flood-1", "sds011", flood.port, "max_rows_per_s = 1"), sensor("air-1", "sds011", calm.port)],
                commit_s=0.2,
            )
            async with AgentProcess(tmp_path, text) as agent:
                await agent.told("flood-1 sends more than", 60.0)
                began_s, used_s, count = time.monotonic(), cpu_s(agent.pid), len(recorder.rows("telemetry/air-1"))
                await until(lambda: len(recorder.rows("telemetry/air-1")) >= count + 20, 20.0)
                share = (cpu_s(agent.pid) - used_s) / (time.monotonic() - began_s)
                await agent.stop()
                assert agent.count("flood-1 sends more than") == 1
            accepted = agent.accepted()
    rows = sum(of.stream == "telemetry/flood-1" for of, _ in accepted)
    assert 600 <= rows < 650
    assert share < 0.6, "what is too much is not decoded at full speed"
    events = [row for (of, _), row in accepted.items() if of.stream == "event/_agent" and row["ev"] == "rows_lost"]
    assert {(row["stream"], row["why"]) for row in events} == {("telemetry/flood-1", "overflow")}
    assert sum(int(str(row["n"])) for row in events) > 0


async def test_40_a_flood_of_garbage_is_told_as_what_it_is(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder, Flood(b"U" * 4000) as flood:
        text = configuration(mosquitto.url, [sensor("air-1", "sds011", flood.port)])
        async with AgentProcess(tmp_path, text) as agent:
            await agent.told("contains no frame of sds011")
            await until(lambda: bool(recorder.events("sensor_lost")))
            began_s, used_s = time.monotonic(), cpu_s(agent.pid)
            await asyncio.sleep(1.0)
            assert (cpu_s(agent.pid) - used_s) / (time.monotonic() - began_s) < 0.3
            assert agent.count("no data from") == 0
    assert recorder.events("sensor_lost")[0]["why"] == "no_frame"


@pytest.mark.parametrize("pattern", ["(a|aa)+b", "(a+)+b", "(.*)*(.*)*(.*)*x"])
async def test_08_a_catastrophic_pattern_holds_up_nothing(tmp_path: Path, pattern: str) -> None:
    lines = f"[sensor.lines]\nformat = 'pattern'\npattern = '{pattern}(?P<n>[0-9]+)'\n[sensor.fields]\nn = {{}}\n"
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder, Flood(b"a" * 500 + b"\n") as flood:
        text = configuration(
            mosquitto.url,
            [sensor("load", "system", more="interval_s = 0.2"), sensor("lines-1", "serial_line", flood.port, lines)],
        )
        async with AgentProcess(tmp_path, text) as agent:
            await agent.told("connected,")
            await until(lambda: flood.written > 100_000)
            count = len(recorder.rows("telemetry/load"))
            await until(lambda: len(recorder.rows("telemetry/load")) > count + 5)
            assert (await agent.stop())[0] == 0


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a)\\\\1", "a" * 1001, "((a{100}){100}){100}"])
async def test_08_a_pattern_that_is_not_linear_is_refused(tmp_path: Path, pattern: str) -> None:
    lines = f'[sensor.lines]\nformat = "pattern"\npattern = "{pattern}"\n[sensor.fields]\nn = {{}}\n'
    text = configuration("mqtt://127.0.0.1:9", [sensor("lines-1", "serial_line", "/dev/null", lines)])
    async with AgentProcess(tmp_path, text) as agent:
        assert await agent.ended(10.0) == 78
        assert agent.count("RE2 cannot use this regular expression") == 1


async def test_38_sensors_wait_for_room_and_what_was_taken_in_is_kept(tmp_path: Path) -> None:
    """Forty sensors that always have more: what they are let give is stored, and none of it pushed out again."""
    store = await Store.open(tmp_path / "store.db", 1 << 28, 0.0, "b0070000", "", clock.Clock().now)

    async def feed(name: str) -> None:
        for _ in range(10):
            await store.wait_for_room()
            for number in range(400):
                body = packed({"n": number})
                store.append(Reading(telemetry(name), clock.Clock().now(), store.meta_hash, body))

    try:
        await asyncio.gather(*(feed(f"s-{at}") for at in range(40)))
        await store.flush()
        assert {name: store.accounts[telemetry(name)].next - 1 for name in (f"s-{at}" for at in range(40))} == {
            f"s-{at}": 4000 for at in range(40)
        }
    finally:
        await store.close(5.0)
