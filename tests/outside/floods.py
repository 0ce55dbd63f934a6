"""Devices that give readings much faster than a gateway can store them."""

import asyncio
import os
import time
import tty
from pathlib import Path

_FRAME = bytes.fromhex("AAC0D4043A0AA1601DAB")
_AT_ONCE = 100
_COUNT = 6


class Floods:
    """Open ports, at which nothing comes until :meth:`burst`. ``with Floods() as floods``."""

    def __init__(self) -> None:
        self._ptys = [os.openpty() for _ in range(_COUNT)]
        for master, slave in self._ptys:
            tty.setraw(slave)
            os.set_blocking(master, False)
        self.ports = [Path(os.ttyname(slave)) for _, slave in self._ptys]

    def __enter__(self) -> "Floods":
        return self

    def __exit__(self, *error: object) -> None:
        for pair in self._ptys:
            for descriptor in pair:
                os.close(descriptor)

    async def burst(self, seconds: float) -> int:
        """Write whole frames into all ports as fast as they are read; how many they were."""
        end_s = time.monotonic() + seconds
        count = 0
        left = [b""] * len(self._ptys)
        while time.monotonic() < end_s or any(left):
            for at, (master, _) in enumerate(self._ptys):
                if not left[at] and time.monotonic() < end_s:
                    left[at] = _FRAME * _AT_ONCE
                    count += _AT_ONCE
                try:
                    left[at] = left[at][os.write(master, left[at]) :]
                except BlockingIOError:
                    if time.monotonic() > end_s + 1.0:
                        left[at] = b""  # nobody reads
            await asyncio.sleep(0.002)
        return count
