"""Measures how much memory each additional sensor costs: an agent with one sensor compared with one with forty-one.

    python bench/sensors.py [--seconds 10] [--more 40]

SDS011 at 1 Hz on ptys, real Mosquitto; VmRSS after some seconds of readings.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.parts import Mosquitto, agent_command, configuration, resident_mb
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model, waving


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--more", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as mosquitto:
        one, many = [await resident(Path(name), mosquitto.port, count, args.seconds) for count in (1, 1 + args.more)]
    print(
        f"1 sensor {one:.1f} MB, {1 + args.more} sensors {many:.1f} MB: {1000 * (many - one) / args.more:.0f} kB each"
    )
    return 0


async def resident(folder: Path, port: int, count: int, seconds: float) -> float:
    """Return the resident memory of an agent with ``count`` sensors after ``seconds``."""
    device = model("sds011")
    async with AsyncExitStack() as plugged:
        sensors = []
        for at in range(count):
            simulated = SimulatedDevice(device, values=waving(device.typical), link=folder / f"tty-{count}-{at}")
            await plugged.enter_async_context(simulated)
            sensors.append((f"air-{at}", "sds011", simulated.port))
        file = folder / f"gardu-{count}.toml"
        file.write_text(configuration(port, sensors))
        agent = await asyncio.create_subprocess_exec(
            *agent_command(file, folder / f"state-{count}"), stderr=asyncio.subprocess.DEVNULL
        )
        await asyncio.sleep(seconds)
        memory_mb = resident_mb(agent.pid)
        agent.send_signal(signal.SIGTERM)
        await agent.wait()
        return memory_mb


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
