"""A stop that comes early, and ends that are nobody's fault."""

import signal
from pathlib import Path

from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

LOAD = sensor("load", "system", more="interval_s = 0.2")


def blocks_sigterm(pid: int) -> bool:
    """Whether a process holds SIGTERM back."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (blocked,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
    return bool(blocked >> (signal.SIGTERM - 1) & 1)


async def test_41_a_stop_before_the_agent_handles_signals_is_orderly_and_says_goodbye(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [LOAD])) as agent:
            await until(lambda: blocks_sigterm(agent.pid))
            status, took_s = await agent.stop()
            await until(lambda: recorder.last("state") is not None)
    assert (status, took_s < 5.0) == (0, True)
    state = recorder.last("state")
    assert (state["online"], state["reason"]) == (False, "shutdown")


async def test_42_five_kills_in_a_row_are_no_crashes(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [LOAD])) as agent:
            for number in range(6):
                count = len(recorder.rows("telemetry/load"))
                await until(lambda count=count: len(recorder.rows("telemetry/load")) > count)
                await agent.kill()
                await agent.start()
                await until(lambda number=number: agent.count("connected,") == number + 2)
            count = len(recorder.rows("telemetry/load"))
            await until(lambda: len(recorder.rows("telemetry/load")) > count)
            await agent.stop()
    assert recorder.events("safe_mode") == []


async def test_42_crashes_of_the_agent_s_own_lead_to_safe_mode(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        async with AgentProcess(tmp_path, configuration(mosquitto.url, [LOAD])) as agent:
            starts = agent.state / "starts"
            for failed in (1, 5):  # the waits between are tested elsewhere
                await agent.told("connected,")
                agent.lines.clear()
                agent.signal(signal.SIGSEGV)
                await agent.ended(5.0)
                if failed == 5:
                    starts.write_text(starts.read_text().replace('"failed": 1', '"failed": 4'))
                await agent.start()
                await until(lambda failed=failed: starts.exists() and f'"failed": {failed}' in starts.read_text())
            await agent.told("without sensors")
            await until(lambda: bool(recorder.events("safe_mode")))
            await agent.stop()
