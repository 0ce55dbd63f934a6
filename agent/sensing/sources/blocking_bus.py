"""A bus with blocking calls (I2C, 1-Wire): one thread, used by its sensors in turn."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from agent.base.errors import CallTimeout
from agent.base.i18n import _
from agent.sensing.context import Worker
from agent.sensing.sensor_errors import PortLost

P = TypeVar("P", bound="Port")
T = TypeVar("T")

_MAX_STUCK = 3
_OPEN_S = 5.0


class Port(Protocol):
    """The open bus, used from its thread."""

    def close(self) -> None: ...


class BlockingBus(Generic[P]):
    """Opened when first used, closed after it hung. ``name``: for people. ``open_port`` runs in the thread and raises
    :class:`PortLost`."""

    def __init__(self, name: str, open_port: Callable[[], P], worker: Callable[[str], Worker]) -> None:
        self._name = name
        self._open_port = open_port
        self._new_worker = worker
        self._turn = asyncio.Lock()
        self._worker: Worker | None = None
        self._port: P | None = None
        self._stuck = 0

    async def call(self, function: Callable[[P], T], timeout_s: float) -> T:
        """Run ``function`` on the bus when it is free. The timeout starts then, so that a slow neighbour does not use
        up a device's time. Raises :class:`PortLost`, and whatever ``function`` raises."""
        async with self._turn:
            if self._stuck >= _MAX_STUCK:
                raise PortLost(
                    _("{bus} hangs: restart the agent, then find the device that blocks the bus").format(bus=self._name)
                )
            if self._worker is None:
                self._worker = self._new_worker(self._name)
            try:
                if self._port is None:
                    self._port = await self._worker.call(self._open_port, _OPEN_S)
                port = self._port
                return await self._worker.call(lambda: function(port), timeout_s)
            except CallTimeout:
                self._stuck += 1
                self._worker = self._port = None
                raise PortLost(
                    _("{bus} did not respond within {n:.0f} s").format(bus=self._name, n=timeout_s)
                ) from None

    def close(self) -> None:
        """Close the bus and end its thread; does not wait."""
        if self._worker is not None:
            if self._port is not None:
                self._worker.post(self._port.close)
            self._worker.close()
        self._worker = self._port = None
