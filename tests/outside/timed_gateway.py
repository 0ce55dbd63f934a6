"""A gateway whose clock, time server and boot are set by a test, and the city that asks it what it thinks of them."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from agent.delivery import wire
from tests.support.agent_process import BASE, AgentProcess, configuration, sensor
from tests.support.mosquitto import until
from tests.support.mqtt_caller import Caller
from tests.support.recorder import Recorder

LOAD = sensor("load", "system", more="interval_s = 0.1")
STREAM = "telemetry/load"
NEVER_SET_S = -50 * 366 * 86_400
YEAR_S, HOUR_S = 365 * 86_400, 3600
_numbers = count(1)


class Gateway(AgentProcess):
    """An agent whose clock, time server and boot are files."""

    def __init__(self, folder: Path, broker: str, grace_s: float = 600) -> None:
        publish = 'max_delay_s = 0.2\nencoding = "json"'
        text = f"{configuration(broker, [LOAD], publish)}\n[clock]\ngrace_s = {grace_s}\n"
        super().__init__(folder, text, module="tests.support.timely_agent")
        self._folder = folder
        self.boot("11111111")

    def clock(self, wrong_s: int) -> None:
        fresh = self._folder / "clock.new"
        fresh.write_text(str(wrong_s))
        fresh.replace(self._folder / "clock")

    def hears_time_server(self, hears: bool) -> None:
        if hears:
            (self._folder / "synchronised").touch()
        else:
            (self._folder / "synchronised").unlink()

    def boot(self, boot_id: str) -> None:
        (self._folder / "boot").write_text(f"{boot_id}-0000\n")


class City:
    """What it asks a gateway, and what came from it."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        self._port = port
        self._recorder = recorder

    async def asked(self, name: str, **arguments: object) -> Mapping[str, Any]:
        exp = int(1000 * time.time()) + 1000 * 3 * YEAR_S
        for _ in range(20):  # a gateway that is not subscribed yet does not hear it
            identity = f"q{next(_numbers)}"
            with Caller(self._port, f"city-{identity}") as caller, suppress(TimeoutError):
                caller.publish(f"{BASE}/command/{name}", json.dumps({"id": identity, "exp": exp, **arguments}).encode())
                await until(lambda: self._recorder.last(f"reply/{identity}") is not None, 0.5)  # noqa: B023
                result: Mapping[str, Any] = self._recorder.last(f"reply/{identity}")["result"]
                return result
        raise AssertionError(f"no reply to {name}")

    async def quality(self) -> int:
        return int((await self.asked("diagnostics"))["clock"])

    async def becomes(self, clock_quality: int) -> None:
        found = [await self.quality()]
        while found[-1] != clock_quality and len(found) < 40:
            await asyncio.sleep(0.2)  # more commands a second would be refused
            found.append(await self.quality())
        assert found[-1] == clock_quality

    async def measured(self, rows: int) -> None:
        following = 0
        while following <= rows:
            await asyncio.sleep(0.2)
            with suppress(KeyError):
                following = (await self.asked("diagnostics"))["streams"][STREAM]["next"]

    def messages(self, leaf: str = STREAM) -> list[Mapping[str, Any]]:
        return [wire.decode(one.payload) for one in self._recorder.messages.copy() if one.topic.endswith(f"/{leaf}")]


def is_now(t: int) -> bool:
    return abs(t - 1000 * time.time()) < 60_000
