"""Measures how many readings a second one core carries from 16 serial ports to the broker, durably, and whether any are
lost.

    python bench/throughput.py [--seconds 20] [--rate 1250] [--ports 16] [--device sds011]

Real Mosquitto on a free loopback port, real ptys, ``commit_s = 0``, the agent pinned to one core, everything else to
the other. Counts what the devices sent, what the agent's store numbered, and what arrived at a subscriber.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from agent.config.settings import Broker
from agent.delivery.connection import Message
from agent.delivery.io import mqtt
from agent.fleet.subscriber import Arrival, Subscriber
from bench.parts import Mosquitto, agent_command, configuration, cpu_seconds, pinned, resident_mb


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1250, help="frames a second and port")
    parser.add_argument("--ports", type=int, default=16)
    parser.add_argument("--device", default="sds011")
    args = parser.parse_args()
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder)) as mosquitto:
        load = ("--ports", str(args.ports), "--rate", str(args.rate), "--seconds", str(args.seconds))
        command = (sys.executable, "-m", "drivers.sim.feeder", args.device, *load)
        feeder = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert feeder.stdout is not None
        ports = json.loads(await feeder.stdout.readline())["ports"]
        sensors = [(f"s-{at}", args.device, port) for at, port in enumerate(ports)]
        file = Path(folder) / "gardu.toml"
        file.write_text(configuration(mosquitto.port, sensors, publish="max_delay_s = 1", store="commit_s = 0"))
        subscriber, arrived = Subscriber(), 0

        def take(message: Message) -> None:
            nonlocal arrived
            for item in subscriber.on_message(message.topic, message.payload, 0.0):
                arrived += isinstance(item, Arrival) and item.kind == "telemetry" and item.sensor != "_agent"

        url = f"mqtt://127.0.0.1:{mosquitto.port}"
        link = await mqtt.connect(Broker(url=url), url, "bench", None, mqtt5=True)
        link.on_message = take
        await link.subscribe(["#"])
        watching = asyncio.create_task(link.lost())
        began_s = time.monotonic()
        agent = await asyncio.create_subprocess_exec(
            *agent_command(file, Path(folder) / "state"), preexec_fn=pinned({0})
        )
        sent = sum(json.loads(await feeder.stdout.readline())["sent"])
        took_s = time.monotonic() - began_s
        in_time = arrived
        cpu_s, memory_mb = cpu_seconds(agent.pid), resident_mb(agent.pid)
        await asyncio.sleep(3.0)
        agent.send_signal(signal.SIGTERM)
        status = await agent.wait()
        await asyncio.sleep(1.0)
        watching.cancel()
        link.drop()
    print(f"devices sent {sent}, arrived {arrived} ({in_time} before the devices ended), lost {sent - arrived}")
    print(
        f"{sent / args.seconds:.0f} readings/s; agent {cpu_s:.1f} s of one core in {took_s:.1f} s"
        f" ({100 * cpu_s / took_s:.0f} %), {1e6 * cpu_s / sent:.0f} us a reading, {memory_mb:.1f} MB resident"
    )
    return 1 if sent != arrived or status else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
