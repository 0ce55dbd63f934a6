"""Measures what a small gateway costs: memory compared with a bare loop in the same run, idle CPU, and time to the
first reading.

    python bench/small.py [--seconds 60] [--starts 10]

One SDS011 at 1 Hz on a pty, real Mosquitto. Memory is VmRSS after the run; the bare loop (bench/bare_loop.py) has the
same libraries, connection and readings, and none of our code. The first reading is timed from the start of the agent's
process, with a frame waiting in the port (the worst case: the whole start counts), to its arrival at a subscriber.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
import tty
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from agent.config.settings import Broker
from agent.delivery.connection import Message
from agent.delivery.io import mqtt
from bench.parts import Mosquitto, agent_command, configuration, cpu_seconds, resident_mb
from drivers.sim.device import SimulatedDevice
from drivers.sim.models import model, waving


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--starts", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as mosquitto:
        folder = Path(name)
        device = model("sds011")
        ports = [folder / "tty-bare", folder / "tty-agent"]
        async with (
            SimulatedDevice(device, values=waving(device.typical), link=ports[0], period_s=1.0),
            SimulatedDevice(device, values=waving(device.typical), link=ports[1], period_s=1.0),
        ):
            file = folder / "gardu.toml"
            file.write_text(configuration(mosquitto.port, [("air-1", "sds011", str(ports[1]))]))
            run = agent_command(file, folder / "state")
            program = Path(__file__).parent / "bare_loop.py"
            bare = await asyncio.create_subprocess_exec(
                sys.executable, str(program), str(ports[0]), str(mosquitto.port), str(folder / "bare.db")
            )
            agent = await asyncio.create_subprocess_exec(*run)
            await asyncio.sleep(5)
            before_s = {one.pid: cpu_seconds(one.pid) for one in (bare, agent)}
            await asyncio.sleep(args.seconds)
            for label, one in (("bare loop", bare), ("agent", agent)):
                share = 100 * (cpu_seconds(one.pid) - before_s[one.pid]) / args.seconds
                print(
                    f"{label}: {resident_mb(one.pid):.1f} MB resident, {share:.2f} % CPU, "
                    f"{os.listdir(f'/proc/{one.pid}/task').__len__()} threads"
                )
            bare.kill()
            agent.send_signal(signal.SIGTERM)
            await asyncio.gather(bare.wait(), agent.wait())
        waiting = Waiting(device.encode(device.typical))
        file.write_text(configuration(mosquitto.port, [("air-1", "sds011", waiting.name)]))
        times = [await first_reading_s(run, mosquitto.port, waiting) for _ in range(args.starts)]
    print(
        f"start to first reading at the broker, {args.starts} starts: median {statistics.median(times):.2f} s, "
        f"longest {max(times):.2f} s"
    )
    return 0


class Waiting:
    """A port that holds a frame before it is opened."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.name = os.ttyname(self._slave)

    def speak(self) -> None:
        """Put a frame into the port."""
        os.write(self._master, self._frame)


async def first_reading_s(run: Sequence[str], port: int, waiting: Waiting) -> float:
    """Seconds from the agent's start to the first telemetry of the sensor."""
    came: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def take(message: Message) -> None:
        if message.topic.endswith("/telemetry/air-1") and not came.done():
            came.set_result(time.monotonic())

    url = f"mqtt://127.0.0.1:{port}"
    link = await mqtt.connect(Broker(url=url), url, "first", None, mqtt5=True)
    link.on_message = take
    await link.subscribe(["#"])
    watching = asyncio.create_task(link.lost())
    waiting.speak()
    began_s = time.monotonic()
    agent = await asyncio.create_subprocess_exec(*run, stderr=asyncio.subprocess.DEVNULL)
    took_s = await asyncio.wait_for(came, 10) - began_s
    agent.send_signal(signal.SIGTERM)
    await agent.wait()
    watching.cancel()
    link.drop()
    return took_s


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
