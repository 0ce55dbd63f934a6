"""After an edit that the agent rejects, systemd's line and ``gardu check`` say so, and which configuration runs."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess, configuration, sensor
from tests.support.mosquitto import free_port, until
from tests.support.systemd_socket import Systemd

GOOD = sensor("load", "system", more="interval_s = 0.2")
OTHER = sensor("load", "system", more="interval_s = 0.3")
BAD = sensor("load", "system", more="intervall_s = 0.2")


@pytest.fixture
async def systemd(tmp_path: Path) -> AsyncIterator[Systemd]:
    systemd = Systemd(tmp_path)
    yield systemd
    systemd.close()


def check(agent: AgentProcess, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "agent", "check", str(agent.file), "--state", str(agent.state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={"LC_ALL": "C.UTF-8"}, check=False)
    return done.returncode, done.stdout, done.stderr


async def test_a_rejected_edit_is_shown_with_what_runs_instead(tmp_path: Path, systemd: Systemd) -> None:
    broker = f"mqtt://127.0.0.1:{free_port()}"
    async with AgentProcess(tmp_path, configuration(broker, [GOOD]), environ=systemd.environ) as agent:
        await until(systemd.hears("STATUS=1 of 1 sensors OK, not connected"))
        assert check(agent) == (0, f"{agent.file}: OK, 1 sensors\n{agent.file}: gardu runs this file\n", "")

        agent.file.write_text(configuration(broker, [BAD]))
        agent.hang_up()
        shown = "edited configuration rejected (sensor.load.intervall_s: unknown key), running the previous one"
        await until(lambda: any(line.endswith(shown) for line in systemd.lines("STATUS=1 of 1 sensors OK")))
        status, out, err = check(agent)
        assert (status, out) == (1, "")
        assert err.endswith(f"{agent.file}: gardu rejects this file and keeps the last good configuration\n")
        answer = json.loads(check(agent, "--json")[1])
        assert answer["agent"] == {"use": "not_loaded", "version": 0, "cause": ""}

        agent.file.write_text(configuration(broker, [OTHER]))
        status, _, err = check(agent)
        assert status == 0
        assert "not loaded yet; gardu keeps the last good configuration until you run" in err
        agent.hang_up()
        await until(lambda: "gardu is trying this file out" in (out := check(agent)[1]) or "gardu runs this" in out)
        await until(lambda: "rejected" not in systemd.lines("STATUS=")[-1])


def test_a_file_that_no_agent_runs_has_nothing_to_compare_with(tmp_path: Path) -> None:
    file = tmp_path / "gardu.toml"
    file.write_text(configuration("mqtt://127.0.0.1", [GOOD]))
    command = [sys.executable, "-m", "agent", "check", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={"LC_ALL": "C.UTF-8"}, check=True)
    assert (done.stdout, done.stderr) == (f"{file}: OK, 1 sensors\n", "")
