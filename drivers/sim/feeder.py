"""Many streaming devices from one cheap process, for benchmarks: prepared frames, written in chunks.

``python -m drivers.sim.feeder sds011 --ports 16 --rate 1250 --seconds 10`` prints the ports as one line of JSON, waits
until all of them are open, feeds them, and prints how many complete frames each one received.
"""

import argparse
import json
import time
from collections.abc import Sequence

from drivers.sim.models import Model, model, waving
from drivers.sim.pty_port import PtyPort

_TICK_S = 0.02
_LINGER_S = 1.0
_READ_WITHIN_S = 2.0


class Feeder:
    """Sends a ring of prepared frames to its ports, each frame complete. ``sent``: frames by port."""

    def __init__(self, device: Model, ports: Sequence[PtyPort], prepared: int = 250) -> None:
        values = waving(device.typical, every=prepared)
        self._frames = [device.encode(values(number)) for number in range(prepared)]
        self.ports = ports
        self.sent = [0] * len(ports)
        self._rest = [b""] * len(ports)

    def feed(self, count: int) -> None:
        """Send each port its next ``count`` frames; a full port is skipped until it has accepted the last ones."""
        for at in range(len(self.ports)):
            if not self._rest[at]:
                first = self.sent[at] % len(self._frames)
                ring = self._frames[first:] + self._frames
                while len(ring) < count:
                    ring += self._frames
                self._rest[at] = b"".join(ring[:count])
                self.sent[at] += count
        self.step()

    def step(self) -> None:
        """Send what is pending, as far as the ports have room."""
        for at, port in enumerate(self.ports):
            if self._rest[at]:
                self._rest[at] = self._rest[at][port.write(self._rest[at]) :]

    def flush(self, seconds: float) -> bool:
        """Send what is pending for at most ``seconds``; return whether everything was sent."""
        end = time.monotonic() + seconds
        while any(self._rest) and time.monotonic() < end:
            self.step()
            time.sleep(_TICK_S)
        return not any(self._rest)

    def run(self, rate_hz: float, seconds: float) -> bool:
        """Feed every port ``rate_hz`` frames a second for ``seconds``; return whether everything was sent. Blocks."""
        start = time.monotonic()
        fed = 0
        while (passed := time.monotonic() - start) < seconds:
            due = int(passed * rate_hz) - fed
            if due:
                self.feed(due)
                fed += due
            time.sleep(_TICK_S)
        return self.flush(_READ_WITHIN_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="drivers.sim.feeder", description="Feed simulated serial devices.")
    parser.add_argument("device")
    parser.add_argument("--ports", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1250.0, help="frames a second and port")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args(arguments)
    ports = [PtyPort() for _ in range(args.ports)]
    print(json.dumps({"ports": [port.port for port in ports]}), flush=True)
    while not all(port.is_open() for port in ports):
        time.sleep(_TICK_S)
    feeder = Feeder(model(args.device), ports)
    whole = feeder.run(args.rate, args.seconds)
    print(json.dumps({"sent": feeder.sent}), flush=True)
    time.sleep(_READ_WITHIN_S)  # closing the ports would lose what they still hold
    for port in ports:
        port.close()
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
