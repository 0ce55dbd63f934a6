"""The power is cut at each write of an update, and something else is wrong as well when it comes back.

Nine writes make a change: the candidate, and two copies of the state for each of staged, applying, probation and the
end. Whatever happens, the gateway ends with the whole old configuration or the whole new one, and says which.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish as once

from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.maintainer import Maintainer
from tests.support.mosquitto import Mosquitto, until
from tests.support.recorder import Recorder

WRITES = range(1, 10)
CUTS = ("cut before", "cut after")
ERRORS = ("none", "full disk", "torn candidate", "torn state", "torn file", "no broker", "killed again")
OUTCOMES = ("confirmed", "rolled_back")
MATRIX = [(at, cut, error, outcome) for at in WRITES for cut in CUTS for error in ERRORS for outcome in OUTCOMES]
# Each write, each error and each outcome, in turn: the rest takes minutes.
EVERYDAY = [MATRIX[at] for at in range(0, len(MATRIX), 23)]


class Gateway:
    """One with a sensor, that is sent a second one."""

    def __init__(self, folder: Path, mosquitto: Mosquitto, recorder: Recorder) -> None:
        self.folder = folder
        self.mosquitto = mosquitto
        self.recorder = recorder
        self.maintainer = Maintainer(folder / "keys")
        (folder / "trust.json").write_bytes(self.maintainer.trust())
        self.text = configuration(mosquitto.url, [sensor("old", "system", more="interval_s = 0.2")])
        self.agent = AgentProcess(folder, self.text, module="tests.support.doomed_agent")

    def wanted(self, outcome: str) -> bytes:
        """The change: a sensor that is there, or one whose port is not."""
        new = {"id": "new", "driver": "system", "interval_s": 0.2}
        if outcome == "rolled_back":
            new = {"id": "new", "driver": "sds011", "port": str(self.folder / "no-tty")}
        config = {
            "broker": {"url": self.mosquitto.url},
            "publish": {"max_delay_s": 0.2},
            "sensor": [{"id": "old", "driver": "system", "interval_s": 0.2}, new],
        }
        return self.maintainer.configuration(1, config, confirm_s=1)

    @asynccontextmanager
    async def running(self, doom: dict[str, object] | None = None) -> AsyncIterator[None]:
        await self.agent.start({"DOOM": json.dumps(doom)} if doom else {})
        try:
            yield
        finally:
            await self.agent.kill()

    def send(self, wanted: bytes) -> None:
        once.single(f"{BASE}/config/desired", wanted, 1, True, "127.0.0.1", self.mosquitto.port)

    async def cut(self, at: int, how: str, wanted: bytes) -> None:
        """Send it, and have the power cut at this write."""
        async with self.running({"at": at, "how": how}):
            await until(lambda: (self.recorder.last("config/reported") or {}).get("state") == "confirmed")
            (self.folder / "armed").touch()
            self.send(wanted)
            assert await self.agent.ended(20) == -9

    def spoil(self, error: str) -> None:
        """What else is wrong when the power comes back."""
        kept = self.agent.state / "config"
        if error == "torn candidate":
            newest = max(kept.glob("generation-*"), key=lambda file: file.stat().st_mtime_ns)
            if len(list(kept.glob("generation-*"))) > 1:
                newest.write_bytes(newest.read_bytes()[:100])
        if error == "torn state":
            file = max(kept.glob("state.?"), key=lambda file: file.stat().st_mtime_ns)
            file.write_bytes(file.read_bytes()[:100])
        if error == "torn file":
            self.agent.file.write_text(self.text[:60])
        if error == "no broker":
            self.mosquitto.stop()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    with Mosquitto(tmp_path) as mosquitto, Recorder(mosquitto.port) as recorder:
        yield Gateway(tmp_path, mosquitto, recorder)


async def _ends_whole(gateway: Gateway, at: int, cut: str, error: str, outcome: str) -> None:
    wanted = gateway.wanted(outcome)
    await gateway.cut(at, cut, wanted)
    gateway.spoil(error)
    if error == "killed again":
        over = at == 9 or (at, cut) == (8, "cut after")  # then nothing is written any more, and any moment is as good
        async with gateway.running(None if over else {"at": 1, "how": "cut after"}):
            await (gateway.agent.told("connected") if over else gateway.agent.ended(20))
    doom = {"at": 1, "how": "full", "count": 3} if error == "full disk" else None
    gateway.recorder.forget()
    async with gateway.running(doom):
        if error == "no broker":
            await gateway.agent.told("retrying")
            gateway.mosquitto.start()
            gateway.send(wanted)  # this broker forgets what it had

        def end() -> dict[str, Any]:
            report = gateway.recorder.last("config/reported") or {}
            # A candidate that is not whole is never tried, and its version is used up.
            allowed = {outcome, "rolled_back"} if error == "torn candidate" else {outcome}
            over = report.get("version") == 1 and (report["state"] in allowed or _refused(report, outcome))
            return report if over else {}

        try:
            await until(lambda: bool(end()), 30)
        except TimeoutError:
            raise AssertionError(f"{gateway.recorder.last('config/reported')} {gateway.agent.lines}") from None
        new = end()["running"]["version"] == 1
        assert new == (outcome == "confirmed") or error == "torn candidate"
        # What it says of itself, and what it does.
        sensors = {"old", "new"} if new else {"old"}
        await until(lambda: set((gateway.recorder.last("meta") or {}).get("sensors", {})) - {"_agent"} == sensors)
        for name in sensors:
            count = len(gateway.recorder.rows(f"telemetry/{name}"))
            await until(lambda name=name, count=count: len(gateway.recorder.rows(f"telemetry/{name}")) > count)  # type: ignore[misc]
        status, _ = await gateway.agent.stop()
        assert status == 0
    # Started once more, with all well again, it is the same.
    gateway.agent.file.write_text(gateway.text)
    gateway.recorder.forget()
    async with gateway.running():
        await until(lambda: bool(end()))
        await asyncio.sleep(0.3)
        assert end()["running"]["version"] == int(new)
    assert "Traceback" not in "\n".join(gateway.agent.lines)


def _refused(report: dict[str, Any], outcome: str) -> bool:
    """What was refused after all was over: the message that was rolled back, when it came again; or the gateway's own
    file, which is broken."""
    code, new = (report["cause"] or {}).get("code"), report["running"]["version"] == 1
    over = code == "known_bad" or (code == "schema" and new == (outcome == "confirmed"))
    return report["state"] == "rejected" and over


@pytest.mark.parametrize(("at", "cut", "error", "outcome"), EVERYDAY)
async def test_a_cut_and_an_error_end_in_a_whole_configuration(
    gateway: Gateway, at: int, cut: str, error: str, outcome: str
) -> None:
    await _ends_whole(gateway, at, cut, error, outcome)


@pytest.mark.long
@pytest.mark.parametrize(("at", "cut", "error", "outcome"), [one for one in MATRIX if one not in EVERYDAY])
async def test_every_cut_and_every_error_end_in_a_whole_configuration(
    gateway: Gateway, at: int, cut: str, error: str, outcome: str
) -> None:
    await _ends_whole(gateway, at, cut, error, outcome)


def test_the_everyday_part_has_each_write_each_error_and_each_outcome() -> None:
    found = [{json.dumps(one[column]) for one in EVERYDAY} for column in range(4)]
    assert [len(one) for one in found] == [len(WRITES), len(CUTS), len(ERRORS), len(OUTCOMES)]
