"""SIGTERM ends the agent within 5 s, whatever a driver, a device or a broker does, and nothing is lost."""

from pathlib import Path

import pytest

from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support import foreign_driver
from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.mqtt_packets import Publish
from tests.support.oracle import judge
from tests.support.recorder import Recorder
from tests.support.scripted_broker import ScriptedBroker, Session, accept
from tests.support.street import arrived, street

WITHIN_S = 5.0


async def test_a_stop_delivers_what_is_there_and_says_goodbye(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        async with street(tmp_path, 2) as devices:
            # With a long delay and a slow commit there is much under way when the signal comes.
            text = configuration(broker.url, devices.sensors, publish="max_delay_s = 60", commit_s=60)
            async with AgentProcess(tmp_path, text) as agent:
                # A first reading is sent at once: now the port is open.
                await until(lambda: arrived(recorder, "dust-1") > 0)
                count = devices.devices["dust-1"].sent
                await until(lambda: devices.devices["dust-1"].sent > count + 25)
                status, took_s = await agent.stop()
            await until(lambda: recorder.last("state")["reason"] == "shutdown")
            faults = judge(recorder.messages, agent.accepted(), devices.sent())
    assert (status, faults) == (0, [])
    assert took_s < WITHIN_S
    assert arrived(recorder, "dust-1") > 20
    assert recorder.last("state")["online"] is False
    for numbers in recorder.last("streams")["streams"].values():
        assert numbers["lo"] == numbers["next"]
    assert [row["reason"] for row in recorder.events("stopped")] == ["shutdown"]


@pytest.mark.parametrize(
    ("name", "code", "on_port"),
    [
        ("stuck", foreign_driver.BLOCKS_IN_ITS_DECODER, True),
        ("asleep", foreign_driver.BLOCKS_IN_ITS_READER, False),
        ("busy", foreign_driver.SPINS, False),
    ],
)
async def test_a_driver_that_never_returns_does_not_keep_it(
    tmp_path: Path, name: str, code: str, on_port: bool
) -> None:
    packages = foreign_driver.install(tmp_path / "packages", name, code)
    with Mosquitto(tmp_path) as broker, Recorder(broker.port) as recorder:
        async with (
            street(tmp_path, 1) as devices,
            SimulatedDevice(model("a02yyuw"), link=tmp_path / "tty") as device,
        ):
            blocking = sensor("blocking", name, tmp_path / "tty" if on_port else "")
            text = configuration(broker.url, [*devices.sensors, blocking])
            async with AgentProcess(tmp_path, text, packages) as agent:
                await until(lambda: arrived(recorder, "dust-0") > 3 and (device.sent > 3 or not on_port), 20.0)
                status, took_s = await agent.stop()
            await until(lambda: recorder.last("state")["reason"] == "shutdown")
            assert judge(recorder.messages, agent.accepted(), devices.sent()) == []
    assert (status, took_s < WITHIN_S) == (0, True)
    assert agent.count("Traceback") == 0


async def test_a_broker_that_takes_connections_and_says_nothing_does_not_keep_it(tmp_path: Path) -> None:
    async with ScriptedBroker(deaf=True) as broker, street(tmp_path, 1) as devices:
        async with AgentProcess(tmp_path, configuration(broker.url, devices.sensors)) as agent:
            await until(lambda: broker.connections > 0 and devices.devices["dust-0"].sent > 10)
            status, took_s = await agent.stop()
        assert (status, took_s < WITHIN_S) == (0, True)
        kept = [row["n0_3"] for (of, _), row in agent.accepted().items() if of.stream == "telemetry/dust-0"]
    assert kept == list(range(len(kept)))
    assert len(kept) > 8


async def test_a_broker_that_acknowledges_nothing_any_more_does_not_keep_it(tmp_path: Path) -> None:
    def fall_silent(session: Session, publish: Publish) -> int | None:
        return None if publish.leaf == "telemetry/dust-0" else 0

    async with (
        ScriptedBroker(answer=fall_silent) as broker,
        street(tmp_path, 1) as devices,
        AgentProcess(tmp_path, configuration(broker.url, devices.sensors)) as agent,
    ):
        await until(lambda: len(broker.rows("telemetry/dust-0")) > 3)
        status, took_s = await agent.stop()
        assert (status, took_s < WITHIN_S) == (0, True)
        accepted = {number for of, number in agent.accepted() if of.stream == "telemetry/dust-0"}
        # What was not acknowledged is still there, and goes in the next session, as late.
        broker.answer = accept
        await agent.start()
        await until(lambda: accepted <= late_numbers(broker.sessions[-1]), 20.0)
        await agent.stop()
    assert len(accepted) > 3


def late_numbers(session: Session) -> set[int]:
    """The numbers that came with ``h``."""
    batches = [one.batch for one in session.published if one.leaf == "telemetry/dust-0"]
    return {number for one in batches if one.late for number in range(one.seq, one.seq + len(one.rows))}


async def test_a_port_that_floods_does_not_keep_it(tmp_path: Path) -> None:
    async with SimulatedDevice(model("sds011"), link=tmp_path / "tty", period_s=0.001, keep_rate=False) as device:
        text = configuration("mqtt://127.0.0.1:1", [sensor("air-1", "sds011", tmp_path / "tty")])
        async with AgentProcess(tmp_path, text) as agent:
            await until(lambda: device.sent > 500)
            for _ in range(50):
                device.inject(b"\xaa\xc0" * 2000)
            status, took_s = await agent.stop()
    assert (status, took_s < WITHIN_S) == (0, True)


async def test_a_signal_right_at_the_start_is_obeyed(tmp_path: Path) -> None:
    async with AgentProcess(tmp_path, configuration("mqtt://127.0.0.1:1")) as agent:
        await agent.told("not connected")
        status, took_s = await agent.stop()
    assert (status, took_s < WITHIN_S) == (0, True)
