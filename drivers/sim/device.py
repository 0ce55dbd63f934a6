"""A simulated device on a real pty, for asyncio: it streams or answers, and can be unplugged and replugged."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from drivers.sim.models import Model, Values
from drivers.sim.pty_port import PtyPort

_ANSWER_TICK_S = 0.005
_REMEMBERED_BYTES = 4096


class SimulatedDevice:
    """Behaves like its model while the port is open at the right line rate; at another rate it sends noise.

    ``values``: the content of frame number n (from 0); default: the model's typical values. ``link``: a symlink that
    always points to the port, as under /dev/serial/by-id. Use it with ``async with``.
    """

    def __init__(
        self,
        model: Model,
        *,
        values: Callable[[int], Values] | None = None,
        period_s: float | None = None,
        link: Path | None = None,
        keep_rate: bool = True,
    ) -> None:
        self.model = model
        self.sent = 0
        """Complete good frames written while the port was open."""
        self.received = bytearray()
        """The last bytes received from the other side."""
        self._values = values or (lambda number: model.typical)
        self._period_s = model.period_s if period_s is None else period_s
        self._link = link
        self._keep_rate = keep_rate
        self._silent = False
        self._unanswered = b""
        self._pending = b""
        self._noise = random.Random(model.name)
        self._port: PtyPort | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SimulatedDevice":
        self.replug()
        self._task = asyncio.create_task(self._run(), name=f"simulated {self.model.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.unplug()

    @property
    def port(self) -> str:
        """The name to open. Raises LookupError while the device is unplugged and has no stable name."""
        if self._port is not None:
            return self._port.port
        if self._link is not None:
            return str(self._link)
        raise LookupError("the device is unplugged")

    def unplug(self) -> None:
        """Break the connection and remove the stable name."""
        if self._port is not None:
            self._port.close()
        self._port = None
        self._pending = self._unanswered = b""

    def replug(self) -> None:
        """Reconnect the device as another pty with the same stable name."""
        self.unplug()
        self._port = PtyPort(self._link)

    def silence(self, silent: bool = True) -> None:
        """Stop sending, with the port left open, or resume."""
        self._silent = silent

    def inject(self, raw: bytes) -> None:
        """Send these bytes unchanged, after those already pending."""
        self._pending += raw
        self._flush()

    def send(self) -> None:
        """Send one frame now (noise at a wrong line rate, nothing while the port is closed)."""
        if self._port is None or self._silent or not self._port.is_open():
            return
        if self._pending:  # the other side does not read; a device does not wait for it
            self._flush()
            return
        frame = self.model.encode(self._values(self.sent))
        if self._keep_rate and self._port.baud() != self.model.line.baud:
            self._pending = self._noise.randbytes(len(frame)).replace(b"\n", b"\x00")
        else:
            self._pending = frame
            self.sent += 1
        self._flush()

    def _flush(self) -> None:
        if self._port is not None and self._pending:
            self._pending = self._pending[self._port.write(self._pending) :]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        tick = _ANSWER_TICK_S if self.model.request else max(self._period_s, 0.0005)
        while True:
            self._receive()
            if not self.model.request:
                self.send()
            due = max(due + tick, loop.time() - 10 * tick)
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _receive(self) -> None:
        """Receive bytes from the other side, and answer each request in them."""
        chunk = self._port.read() if self._port is not None else b""
        if not chunk:
            return
        self.received += chunk
        del self.received[:-_REMEMBERED_BYTES]
        if not self.model.request:
            return
        *requests, rest = (self._unanswered + chunk).split(self.model.request)
        self._unanswered = rest[-len(self.model.request) :]
        for _ in requests:
            self.send()
