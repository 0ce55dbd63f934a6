"""Sixteen devices whose every reading can be told from all others, and what happens to their gateway."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from drivers.sdk.contract import Value
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model
from tests.support.agent_process import AgentProcess, sensor
from tests.support.mosquitto import Mosquitto, until
from tests.support.oracle import holes, judge
from tests.support.recorder import Recorder

DRIVER = "pms5003"
RATE_HZ = 10.0
PERSISTENT = "allow_anonymous true\npersistence true\npersistence_location {folder}/\n"
"""A broker that keeps the recorder's session over its own stop: else nobody would hear what comes first."""


def counting(place: int) -> Callable[[int], Mapping[str, Value]]:
    """Values that say which device speaks (``n10``) and for the how manieth time (``n0_3``)."""
    return lambda number: {"n0_3": number, "n10": place}


@dataclass(frozen=True, slots=True)
class Street:
    """The devices by sensor id, each on its own pty."""

    devices: Mapping[str, SimulatedDevice]
    sensors: tuple[str, ...]
    """Their ``[[sensor]]`` tables."""

    def sent(self) -> dict[str, list[Mapping[str, object]]]:
        """Stream -> what the device sent, in order."""
        return {
            f"telemetry/{name}": [counting(place)(number) for number in range(device.sent)]
            for place, (name, device) in enumerate(self.devices.items())
        }

    def silence(self) -> None:
        """Nobody says any more."""
        for device in self.devices.values():
            device.silence()


@contextlib.asynccontextmanager
async def street(folder: Path, count: int = 16) -> AsyncIterator[Street]:
    """Plug in ``count`` devices that speak at :data:`RATE_HZ`."""
    devices: dict[str, SimulatedDevice] = {}
    tables = []
    async with contextlib.AsyncExitStack() as plugged:
        for place in range(count):
            name = f"dust-{place}"
            link = folder / f"tty-{name}"
            devices[name] = await plugged.enter_async_context(
                SimulatedDevice(model(DRIVER), values=counting(place), period_s=1 / RATE_HZ, link=link)
            )
            tables.append(sensor(name, DRIVER, link))
        yield Street(devices, tuple(tables))


async def live_through_outage(
    broker: Mosquitto, recorder: Recorder, agent: AgentProcess, devices: Street, outage_s: float
) -> list[str]:
    """Stop the broker for so long, kill the agent in the middle of it and start it again; then let everything
    arrive, and stop. Give every fault found: readings lost, doubled, invented, altered, reordered, never read."""
    async with agent:
        await until(lambda: all(arrived(recorder, name) > 5 for name in devices.devices), 30.0)
        broker.stop()
        await asyncio.sleep(outage_s / 2)
        await agent.kill()
        await agent.start()
        await asyncio.sleep(outage_s / 2)
        broker.start()
        # The agent comes back at a random moment within its longest pause, 30 s, and not at once with all others.
        connected = len(recorder.messages)
        await until(lambda: len(recorder.messages) > connected, 45.0)
        devices.silence()
        await until(lambda: all(is_complete(recorder, name, one.sent) for name, one in devices.devices.items()), 30.0)
        status, _ = await agent.stop()
        await until(lambda: recorder.last("state")["reason"] == "shutdown")
    faults = judge(recorder.messages, agent.accepted(), devices.sent())
    for name, device in devices.devices.items():
        counts = [row["n0_3"] for row in recorder.rows(f"telemetry/{name}")]
        # What a device says while its gateway is dead nobody can have; nothing else may be missing.
        if holes(counts) > 1 or counts[0] != 0 or counts[-1] != device.sent - 1:
            faults.append(f"unread: {name} sent {device.sent}, {counts} came")
    faults += [f"exit status {status}"] if status else []
    return faults + [line for line in agent.lines if "Traceback" in line]


def arrived(recorder: Recorder, name: str) -> int:
    """How many readings of a sensor came."""
    return len(recorder.rows(f"telemetry/{name}"))


def is_complete(recorder: Recorder, name: str, sent: int) -> bool:
    """Whether the last of a device's readings came, and all that was kept before it."""
    stream = f"telemetry/{name}"
    rows = recorder.rows(stream)
    return bool(rows) and rows[-1]["n0_3"] == sent - 1 and recorder.whole(stream)
